# SPDX-License-Identifier: Apache-2.0
"""A finished texture to look at and not to change: its mips are made once, and all maps are fetched together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pgc.surface import SurfacePoints
from pgc.texture.field import BakedTexture
from pgc.texture.mip_fetch import plan_fetch, sample_planned

__all__ = ["FinishedTexture"]


class FinishedTexture:
    """A `TextureField` without parameters. Its mips are box-filtered, as a viewer of the exported image has them.

    Args:
        texture: finished, its sides a power of two.
        repeat: wrap UVs into the first tile.
        device: where it is sampled.
    """

    def __init__(self, texture: BakedTexture, *, repeat: bool = False, device: torch.device | str = "cpu") -> None:
        self._texture = texture
        self._channels = {name: int(images[0].shape[0]) for name, images in texture.maps.items()}
        self._repeat = repeat
        images = [torch.stack(list(images)).to(device=device, dtype=torch.float32) for images in texture.maps.values()]
        self._mips = [torch.cat(images, dim=1)]
        while self._mips[-1].shape[-1] > 1:
            self._mips.append(F.avg_pool2d(self._mips[-1], 2))

    @property
    def channels(self) -> Mapping[str, int]:
        """The channel groups; see `TextureField.channels`."""
        return self._channels

    def sample(self, points: SurfacePoints) -> dict[str, Tensor]:
        """Fetches as `TextureField.sample` says, without gradients."""
        plan = plan_fetch(
            points.uv,
            points.uv_footprint,
            points.mask,
            size=self._texture.size,
            levels=(0, len(self._mips) - 1),
            tiles=self._texture.tiles,
            repeat=self._repeat,
        )
        values = sample_planned(self._mips, plan).split(list(self._channels.values()), dim=1)
        return dict(zip(self._channels, values, strict=True))

    def bake(self) -> BakedTexture:
        """Returns the texture itself."""
        return self._texture

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Returns none: nothing here learns."""
        return []

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Returns none."""
        return iter(())

    def set_progress(self, fraction: float) -> None:
        """Does nothing: a finished texture is the same at all times."""

    def after_step(self) -> None:
        """Does nothing, as there is nothing to project."""

    def state_dict(self) -> dict[str, Any]:
        """Returns nothing, as there is nothing to keep."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Does nothing, as there is nothing to restore."""
