# SPDX-License-Identifier: Apache-2.0
"""The interface of a texture field, and the texture that it leaves behind.

A field has named channel groups ("base_color": 3, "roughness": 1, ...) times a list of UDIM tiles, so that
PBR maps, latent textures and UDIM need no other interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pgc.errors import TextureError
from pgc.surface import SurfacePoints

__all__ = [
    "BakedTexture",
    "SurfaceMaterial",
    "TextureField",
    "from_uint8_values",
    "to_uint8_values",
]


def to_uint8_values(values: Float[Tensor, "c h w"]) -> UInt8[Tensor, "c h w"]:
    """Turns values in [0, 1] into bytes: clamp, times 255, round half up. Exactly v/255 gives v back for every byte
    v."""
    return (values.detach().double().clamp(0.0, 1.0) * 255.0 + 0.5).floor().to(torch.uint8)


def from_uint8_values(values: UInt8[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
    """Turns bytes into float32 in [0, 1]: v/255."""
    return values.to(torch.float32) / 255.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BakedTexture:
    """A finished texture: for each map one image a tile.

    Attributes:
        maps: name -> one [c, S, S] float32 tensor a tile, in [0, 1], row 0 at the top. base_color holds sRGB
            values as they stand in a PNG; the other maps are linear.
        tiles: UDIM numbers, in the order of the lists.
        alpha: of base_color, one [1, S, S] float32 tensor a tile in [0, 1], which no run changes; None where all is
            opaque.
        uncovered_fraction: how much of the charts' texels no camera saw, in [0, 1]; they were filled.

    Raises:
        TextureError: the number of images differs from the number of tiles, or an image is not square.
    """

    maps: Mapping[str, list[Tensor]]
    tiles: tuple[int, ...] = (1001,)
    uncovered_fraction: float = 0.0
    alpha: list[Tensor] | None = None

    def __post_init__(self) -> None:
        planes = {} if self.alpha is None else {"alpha": self.alpha}
        for name, images in {**self.maps, **planes}.items():
            if len(images) != len(self.tiles):
                raise TextureError(
                    f"Map '{name}' has {len(images)} images for {len(self.tiles)} tiles {self.tiles}; "
                    "give one image a tile."
                )
            for image in images:
                if image.ndim != 3 or image.shape[1] != image.shape[2]:
                    raise TextureError(
                        f"An image of map '{name}' has shape {tuple(image.shape)}; expected [channels, S, S] square."
                    )

    @property
    def size(self) -> int:
        """Side of the images in texels (all maps of a texture share it)."""
        return int(next(iter(self.maps.values()))[0].shape[-1])

    def to_uint8(self) -> dict[str, list[Tensor]]:
        """Returns the bytes of every map and tile, [c, S, S] uint8 on the CPU, ready for a PNG writer."""
        return {name: [to_uint8_values(image.cpu()) for image in images] for name, images in self.maps.items()}

    @staticmethod
    def from_uint8(maps: Mapping[str, Sequence[Tensor]], tiles: tuple[int, ...] = (1001,)) -> BakedTexture:
        """Makes the texture whose bytes these are; `to_uint8` gives them back bit for bit."""
        return BakedTexture(
            maps={name: [from_uint8_values(image) for image in images] for name, images in maps.items()}, tiles=tiles
        )


@runtime_checkable
class SurfaceMaterial(Protocol):
    """Something that has a colour (and roughness, ...) at each surface point."""

    @property
    def channels(self) -> Mapping[str, int]:
        """Channel groups: name -> number of channels."""
        ...

    def sample(self, points: SurfacePoints) -> dict[str, Tensor]:
        """Fetches differentiably: name -> [B, c, H, W] in [0, 1], zeros where the mask is False."""
        ...


@runtime_checkable
class TextureField(SurfaceMaterial, Protocol):
    """A material that can be optimised, and leaves a texture behind."""

    def preview(self, size: int) -> BakedTexture:
        """Returns the maps as they are now, at most `size` texels a side where it has such a level; nothing is filled
        and no seam closed."""
        ...

    def bake(self) -> BakedTexture:
        """Returns the finished texture: filled, padded and without seams."""
        ...

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Returns groups for torch.optim.Adam."""
        ...

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Returns all parameters."""
        ...

    def set_progress(self, fraction: float) -> None:
        """Sets where the run stands, in [0, 1]; this decides which levels are live."""
        ...

    def after_step(self) -> None:
        """Projects what must stay within bounds, after an optimiser step."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Returns everything that a resumed run needs, as tensors."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as torch.nn.Module
        """Restores what `state_dict` gave, bit for bit."""
        ...
