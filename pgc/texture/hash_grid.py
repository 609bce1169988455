# SPDX-License-Identifier: Apache-2.0
"""The paper's own texture: a multiresolution hash grid over space and a small network, baked to texels at the end.

Müller et al., "Instant Neural Graphics Primitives", 2022, as the official PGC code sets it: 16 levels of 4 features
from 16 to 4,096 cells a side, 65,536 rows a level at most, 64 features through 32 hidden units to a colour in
[0.05, 0.95]. The grid and its network are `hash_field`'s.

Pure torch. There are no mips: a view from afar sees single points, as there. Colours belong to places in space, so that
two sides of a thin wall share them, and nothing can be locked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.errors import ConfigError
from pgc.mesh.data import TriangleMesh
from pgc.surface import SurfacePoints
from pgc.texture.field import BakedTexture
from pgc.texture.finishing.order import Finisher
from pgc.texture.hash_field import HashField
from pgc.texture.texel_config import TexelLayout, TexelPyramidConfig
from pgc.texture.texel_surface import TexelSurface, texel_surface

__all__ = ["HashGridTexture", "HashGridTextureConfig"]

_POINTS_AT_ONCE = 1 << 16
_LOW, _SPAN = 0.05, 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class HashGridTextureConfig(TexelPyramidConfig):
    """Settings of the grid and its network; of the pyramid's, size, tiles and seams are those of the bake.

    Raises:
        ConfigError: a value is out of range.
    """

    grid_levels: int = 16
    features: int = 4
    coarsest_cells: int = 16
    finest_cells: int = 4096
    rows: int = 1 << 16
    """Of one level at most."""
    hidden: int = 32
    network_rate: float = 0.1
    """The network's learning rate over the grid's."""
    seed: int = 0

    def __post_init__(self) -> None:
        TexelPyramidConfig.__post_init__(self)
        counts = (self.grid_levels, self.features, self.coarsest_cells, self.rows, self.hidden)
        if min(counts) < 1 or self.finest_cells < self.coarsest_cells or not self.network_rate > 0:
            raise ConfigError(
                f"Got a grid of {self.grid_levels} levels, {self.coarsest_cells} to {self.finest_cells} cells, "
                f"{self.rows} rows; expected numbers above 0, the finest not below the coarsest."
            )


class HashGridTexture(HashField):
    """A `TextureField` whose colours are a function of the place."""

    def __init__(
        self,
        triangles: TriangleMesh,
        config: HashGridTextureConfig,
        layout: TexelLayout | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(config, 3, device)
        self.config = config
        self.layout = layout or TexelLayout()
        self.triangles = triangles

    @property
    def channels(self) -> Mapping[str, int]:
        """Channel groups: name -> number of channels."""
        return {"base_color": 3}

    def colors_at(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Returns the colours at places of the normalised mesh, in [0.05, 0.95]."""
        return torch.sigmoid(self.outputs_at(positions)) * _SPAN + _LOW

    def sample(self, points: SurfacePoints) -> dict[str, Tensor]:
        """Returns the colours where the points are: [B, 3, H, W], zeros off the mask."""
        mask = points.mask[:, 0]
        found = self.colors_at(points.position.permute(0, 2, 3, 1)[mask])
        image = torch.zeros((*mask.shape, 3), dtype=found.dtype, device=found.device)
        return {"base_color": image.index_put((mask,), found).permute(0, 3, 1, 2)}

    @torch.no_grad()
    def preview(self, size: int) -> BakedTexture:
        """Returns what `TextureField.preview` says."""
        side = self.config.texture_size
        while side > max(size, 16):
            side //= 2
        images = [self._image(surface) for surface in self._surfaces(side)]
        return BakedTexture(maps={"base_color": images}, tiles=self.layout.tiles)

    @torch.no_grad()
    def bake(self) -> BakedTexture:
        """Bakes the colours under each texel, closes seams and fills gutters. The network has a colour everywhere, so
        that nothing counts as uncovered."""
        config, layout = self.config, self.layout
        surfaces = self._surfaces(config.texture_size)
        texture = torch.stack([self._image(surface) for surface in surfaces])
        seen = torch.stack([torch.from_numpy(surface.face_index >= 0) for surface in surfaces])
        finisher = Finisher(self.triangles, surfaces, layout.tiles, layout.repeat, None, config.seams)
        done = finisher.finish(texture, seen)
        return BakedTexture(maps={"base_color": [image.clone() for image in done]}, tiles=layout.tiles)

    def _surfaces(self, size: int) -> list[TexelSurface]:
        return [texel_surface(self.triangles, size, tile, reach=1.0) for tile in self.layout.tiles]

    def _image(self, surface: TexelSurface) -> Float[Tensor, "3 s s"]:
        there = torch.from_numpy(surface.face_index >= 0)
        places = torch.from_numpy(surface.position)[there].to(self.grid)
        found = [self.colors_at(some).cpu() for some in places.split(_POINTS_AT_ONCE)]
        image = torch.full((*there.shape, 3), 0.5)
        image[there] = torch.cat(found) if found else torch.zeros((0, 3))
        return image.permute(2, 0, 1).contiguous()

    def set_progress(self, fraction: float) -> None:
        """Does nothing: all levels learn from the beginning."""

    def after_step(self) -> None:
        """Does nothing: the sigmoid keeps colours in range."""
