# SPDX-License-Identifier: Apache-2.0
"""A finished texture to look at and not to change: its mips are made once, and all maps are fetched together."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from pgc.surface import SurfacePoints
from pgc.texture.field import BakedTexture
from pgc.texture.mip_fetch import plan_fetch, sample_planned

__all__ = ["FinishedTexture"]


class FinishedTexture:
    """A `SurfaceMaterial` that nothing changes. Its mips are box-filtered, as a viewer of the exported image has them.

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
        """The channel groups; see `SurfaceMaterial.channels`."""
        return self._channels

    def sample(self, points: SurfacePoints) -> dict[str, Tensor]:
        """Fetches as `SurfaceMaterial.sample` says, without gradients."""
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
