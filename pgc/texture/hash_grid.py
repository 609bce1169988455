# SPDX-License-Identifier: Apache-2.0
"""The paper's own texture: a multiresolution hash grid over space and a small network, baked to texels at the end.

Müller et al., "Instant Neural Graphics Primitives", 2022, as the official PGC code sets it: 16 levels of 4 features
from 16 to 4,096 cells a side, 65,536 rows a level at most, 64 features through 32 hidden units to a colour in
[0.05, 0.95]. The grid learns ten times as fast as the network, which the paper does not say.

Pure torch. There are no mips: a view from afar sees single points, as there. Colours belong to places in space, so that
two sides of a thin wall share them, and nothing can be locked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pgc.errors import ConfigError
from pgc.mesh.data import TriangleMesh
from pgc.surface import SurfacePoints
from pgc.texture.field import BakedTexture
from pgc.texture.finishing.order import Finisher
from pgc.texture.texel_config import TexelLayout, TexelPyramidConfig
from pgc.texture.texel_surface import TexelSurface, texel_surface

__all__ = ["HashGridTexture", "HashGridTextureConfig", "grid_resolutions"]

_PRIMES = (1, 2_654_435_761, 805_459_861)
_CORNERS = [[corner & 1, corner >> 1 & 1, corner >> 2] for corner in range(8)]
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


def grid_resolutions(config: HashGridTextureConfig) -> list[int]:
    """Returns the vertices a side of each level, as the official code's encoder counts them."""
    # Rounded first: 2^8 by way of logarithms may be a little above 256.
    return [math.ceil(round(scale, 9)) + 1 for scale in _scales(config)]


def _scales(config: HashGridTextureConfig) -> list[float]:
    """Cells a side of each level, less one."""
    growth = math.log2(config.finest_cells / config.coarsest_cells) / max(config.grid_levels - 1, 1)
    return [2.0 ** (level * growth) * config.coarsest_cells - 1.0 for level in range(config.grid_levels)]


class HashGridTexture(nn.Module):
    """A `TextureField` whose colours are a function of the place."""

    def __init__(
        self,
        triangles: TriangleMesh,
        config: HashGridTextureConfig,
        layout: TexelLayout | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.config = config
        self.layout = layout or TexelLayout()
        self.triangles = triangles
        self._resolutions = grid_resolutions(config)
        self._sizes = [min(config.rows, side**3) for side in self._resolutions]
        generator = torch.Generator().manual_seed(config.seed)
        width = config.grid_levels * config.features
        grid = (torch.rand((sum(self._sizes), config.features), generator=generator) * 2.0 - 1.0) * 1e-4
        self.grid = nn.Parameter(grid.to(device))
        for name, (after, before) in {"hidden": (config.hidden, width), "colors": (3, config.hidden)}.items():
            bound = 1.0 / math.sqrt(before)
            weight, bias = (
                (torch.rand(shape, generator=generator) * 2.0 - 1.0) * bound for shape in ((after, before), (after,))
            )
            self.register_parameter(f"{name}_weight", nn.Parameter(weight.to(device)))
            self.register_parameter(f"{name}_bias", nn.Parameter(bias.to(device)))

    @property
    def channels(self) -> Mapping[str, int]:
        """Channel groups: name -> number of channels."""
        return {"base_color": 3}

    def colors_at(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Returns the colours at places of the normalised mesh, in [0.05, 0.95]."""
        tables = self.grid.split(self._sizes)
        features = torch.cat([self._level(positions, level, table) for level, table in enumerate(tables)], dim=1)
        hidden = torch.relu(nn.functional.linear(features, *self._layer("hidden")))
        return torch.sigmoid(nn.functional.linear(hidden, *self._layer("colors"))) * _SPAN + _LOW

    def _layer(self, name: str) -> tuple[Tensor, Tensor]:
        return self.get_parameter(f"{name}_weight"), self.get_parameter(f"{name}_bias")

    def _level(self, positions: Float[Tensor, "n 3"], level: int, table: Float[Tensor, "r f"]) -> Float[Tensor, "n f"]:
        """Interpolates a level's features in the eight vertices around each place."""
        place = ((positions.clamp(-1.0, 1.0) + 1.0) * 0.5) * _scales(self.config)[level] + 0.5
        low = place.floor()
        within = (place - low)[:, None]
        corners = torch.tensor(_CORNERS, device=place.device)
        weights = torch.where(corners.bool(), within, 1.0 - within).prod(dim=2)
        rows = self._rows(low.long()[:, None] + corners, self._resolutions[level], len(table))
        # One look-up of all eight in the level's own table: its gradient is as large as that and no larger.
        return (nn.functional.embedding(rows, table) * weights[:, :, None]).sum(dim=1)

    def _rows(self, vertex: Int[Tensor, "n 8 3"], side: int, size: int) -> Int[Tensor, "n 8"]:
        """Each vertex's own row where there are enough, else by the hash of its coordinates; vertices beyond the last,
        half a cell outside, wrap around, as in the official encoder."""
        x, y, z = vertex.unbind(dim=2)
        if side**3 <= size:
            return (x + side * (y + side * z)) % size
        return (x * _PRIMES[0] ^ y * _PRIMES[1] ^ z * _PRIMES[2]) % size

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

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Returns Adam's groups: the grid at `learning_rate`, the network at a tenth of it."""
        network = [parameter for name in ("hidden", "colors") for parameter in self._layer(name)]
        return [
            {"params": [self.grid], "lr": learning_rate, "name": "grid"},
            {"params": network, "lr": learning_rate * self.config.network_rate, "name": "network"},
        ]

    def set_progress(self, fraction: float) -> None:
        """Does nothing: all levels learn from the beginning."""

    def after_step(self) -> None:
        """Does nothing: the sigmoid keeps colours in range."""
