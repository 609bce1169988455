# SPDX-License-Identifier: Apache-2.0
"""Base colour, roughness, metallic and normal as one texel pyramid, each with its own range and learning rate.

The relief is held as two slopes (s_x, s_y), so that the normal (s_x, s_y, 1) / |(s_x, s_y, 1)| is unit length
whatever the optimiser does, and so that averaging slopes over a footprint is what a mip of a height field does.
The normal leaves this module as it stands in an image file: 0.5 + 0.5 n, tangent space, +Y up (OpenGL).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from pgc.errors import ConfigError, TextureError
from pgc.maps import map_channels
from pgc.mesh.data import TriangleMesh
from pgc.neutral_maps import neutral_map
from pgc.surface import SurfacePoints
from pgc.texture.coverage import combine_seen
from pgc.texture.field import BakedTexture
from pgc.texture.texel_config import MapSettings, TexelLayout, TexelMaps, TexelPyramidConfig
from pgc.texture.texel_pyramid import TexelPyramid

__all__ = ["MATERIAL_CHANNELS", "MaterialField", "MaterialFieldConfig", "normal_from_slopes", "slopes_from_normal"]

MATERIAL_CHANNELS: Mapping[str, int] = map_channels(start=True)
"""The maps that a material field gives, name -> channels."""

_SLOPE = "slope"
_STEEPEST = 1.0
"""Slopes lie in [-1, 1]: up to 45 degrees along each axis. Steeper relief is shape, not texture."""


def normal_from_slopes(slopes: Float[Tensor, "n 2 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Turns slopes as stored, 0.5 + 0.5 s for s in [-1, 1], into normals as stored, 0.5 + 0.5 n with |n| = 1."""
    slope = (slopes * 2.0 - 1.0) * _STEEPEST
    length = (1.0 + slope.square().sum(dim=1, keepdim=True)).sqrt()
    return 0.5 + 0.5 * torch.cat([slope, torch.ones_like(length)], dim=1) / length


def slopes_from_normal(normal: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 2 h w"]:
    """Inverts `normal_from_slopes`; normals steeper than 45 degrees along an axis are cut off there."""
    direction = normal * 2.0 - 1.0
    slope = direction[:, :2] / direction[:, 2:].clamp_min(1e-3)
    return 0.5 + 0.5 * (slope / _STEEPEST).clamp(-1.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterialFieldConfig:
    """Settings of a material field.

    Attributes:
        base_color: sRGB-encoded, as in the image file. Never quite black: no real surface is.
        roughness: linear. Below 0.05 a highlight is smaller than a pixel and has no gradient.
        metallic: linear; starts low, since most surfaces are no metal.
        slope: both slopes of the relief, stored; starts flat.
        with_metallic: whether there is metal at all; without, metallic is 0 everywhere, as in the setting of the paper.
        with_normal: whether there is a relief at all; without, the normal map is flat and not optimised.

    Raises:
        ConfigError: the relief does not start flat.
    """

    base_color: MapSettings = field(default_factory=lambda: MapSettings(initial=0.5, low=0.02, high=1.0))
    roughness: MapSettings = field(default_factory=lambda: MapSettings(initial=0.5, low=0.05, high=1.0))
    metallic: MapSettings = field(default_factory=lambda: MapSettings(initial=0.1))
    slope: MapSettings = field(default_factory=lambda: MapSettings(initial=0.5, rate=0.4))
    with_metallic: bool = True
    with_normal: bool = True

    def __post_init__(self) -> None:
        if self.slope.initial != 0.5:
            raise ConfigError(f"The relief starts at a stored slope of {self.slope.initial}; 0.5 is flat, give that.")

    def texel_maps(self) -> TexelMaps:
        """Returns what the texels hold: the maps that are found, with their settings."""
        maps = self.optimized()
        channels = {name: 2 if name == _SLOPE else MATERIAL_CHANNELS[name] for name in maps}
        return TexelMaps(channels=channels, settings=maps)

    def for_maps(self, maps: Collection[str]) -> MaterialFieldConfig:
        """Returns the same settings for other maps: what is not wanted is not optimised."""
        return replace(self, with_metallic="metallic" in maps, with_normal="normal" in maps)

    def optimized(self) -> dict[str, MapSettings]:
        """Returns the maps that are found, with slopes in place of the normal; the others are neutral everywhere."""
        maps = {"base_color": self.base_color, "roughness": self.roughness}
        if self.with_metallic:
            maps["metallic"] = self.metallic
        if self.with_normal:
            maps[_SLOPE] = self.slope
        return maps


class MaterialField:
    """A `TextureField` of the four maps of the glTF metallic-roughness material.

    Args:
        triangles: mesh with UVs, in the space of the run.
        config: settings of the maps.
        texture: size, levels and seams.
        initial: a texture with all four maps (the normal may be missing), from which the run starts.
        lock_mask: one [S, S] bool tensor a tile, True = locked; needs `initial`. Locked texels keep every map's values.
        device: where parameters live.
        layout: where texels lie; by default one tile.

    Raises:
        TextureError: `initial` or `lock_mask` does not fit.
    """

    def __init__(
        self,
        triangles: TriangleMesh,
        config: MaterialFieldConfig,
        texture: TexelPyramidConfig,
        initial: BakedTexture | None = None,
        lock_mask: list[Tensor] | None = None,
        device: torch.device | str = "cpu",
        *,
        layout: TexelLayout | None = None,
    ) -> None:
        self.config = config
        start = None if initial is None else _with_slopes(initial, config)
        self.pyramid = TexelPyramid(
            triangles, texture, start, lock_mask, device, layout=layout, maps=config.texel_maps()
        )
        self.surfaces = self.pyramid.surfaces
        self.triangles = triangles
        self.layout = self.pyramid.layout
        self.texture_size = texture.texture_size
        self._initial_normal = None if initial is None else initial.maps.get("normal")
        self._locked = lock_mask
        self._anew = lock_mask is not None and texture.mask_start == "anew"

    @property
    def channels(self) -> Mapping[str, int]:
        """The channel groups; see `TextureField.channels`."""
        return MATERIAL_CHANNELS

    def sample(self, points: SurfacePoints) -> dict[str, Tensor]:
        """Fetches as `TextureField.sample` says. Off the mask all maps are 0."""
        maps = self.pyramid.sample(points)
        mask = points.mask.to(maps["base_color"])
        if self.config.with_normal:
            maps["normal"] = normal_from_slopes(maps.pop(_SLOPE)) * mask
        return maps | {name: neutral_map(name, mask, 1) * mask for name in MATERIAL_CHANNELS if name not in maps}

    def texels(self, name: str, finest: int = 0) -> Tensor:
        """Returns the texels of "base_color", "roughness", "metallic" or "slope" at a level, [tiles, c, s, s]."""
        if name in MATERIAL_CHANNELS and name not in self.pyramid.channels:
            return neutral_map(name, self.texels("roughness", finest), 1)
        value = self.pyramid.texels(name, finest)[finest]
        assert value is not None
        return value

    @property
    def finest_live(self) -> int:
        """The finest level that learns at the present progress; 0 is full size."""
        return self.pyramid.finest_live

    def paint(self, name: str, image: Tensor, seen: Tensor) -> None:
        """Does what `pgc.optimization.warm_start.paintable.PaintableField.paint` says."""
        self.pyramid.paint(name, image, seen)

    @torch.no_grad()
    def preview(self, size: int) -> BakedTexture:
        """Returns what `TextureField.preview` says, of the maps that are optimised."""
        shown = self.pyramid.preview(size)
        maps = dict(shown.maps)
        if _SLOPE in maps:
            maps["normal"] = [normal_from_slopes(slopes[None])[0] for slopes in maps.pop(_SLOPE)]
        return BakedTexture(maps=maps, tiles=shown.tiles)

    def bake(self) -> BakedTexture:
        """Returns all four maps: filled, padded, without seams.

        The normal is not reconciled across chart edges, since the two sides of an edge speak of different axes;
        beside a chart it continues the nearest texel of that chart. Where no camera looked it is the initial
        texture's, or flat.
        """
        done = self.pyramid.bake(names=[name for name in self.pyramid.channels if name != _SLOPE])
        maps = dict(done.maps)
        for name in MATERIAL_CHANNELS:
            if name not in maps:
                maps[name] = [neutral_map(name, image, 0) for image in maps["roughness"]]
        maps["normal"] = self._bake_normal()
        return BakedTexture(maps=maps, tiles=done.tiles, uncovered_fraction=done.uncovered_fraction)

    def _bake_normal(self) -> list[Tensor]:
        size = self.pyramid.config.texture_size
        flat = neutral_map("normal", torch.empty(1, size, size), 0)
        if not self.config.with_normal:
            return [flat.clone() for _ in self.surfaces]
        slopes = self.pyramid.bake(finish=False, names=(_SLOPE,)).maps[_SLOPE]
        if self._locked is not None and self.pyramid.config.soft_edge:
            slopes = list(self.pyramid.softened(torch.stack(slopes)))
        seen = combine_seen(self.pyramid.seen).cpu()
        images = []
        for tile, surface in enumerate(self.surfaces):
            start = flat if self._initial_normal is None else self._initial_normal[tile].cpu()
            began = flat if self._anew else start
            image = torch.where(seen[tile], normal_from_slopes(slopes[tile][None])[0], began)
            # A normal map that nobody looked at stays as it came, gutters and all.
            if self._initial_normal is None or bool(seen[tile].any()):
                image = continue_nearest(image, torch.from_numpy(surface.inside))
            if self._locked is not None and self._initial_normal is not None:
                image = torch.where(self._locked[tile].cpu(), start, image)
            images.append(image)
        return images

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Returns what `TextureField.parameter_groups` says."""
        return self.pyramid.parameter_groups(learning_rate)

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Returns what `TextureField.parameters` says."""
        return self.pyramid.parameters()

    def set_progress(self, fraction: float) -> None:
        """Does what `TextureField.set_progress` says."""
        self.pyramid.set_progress(fraction)

    def after_step(self) -> None:
        """Does what `TextureField.after_step` says."""
        self.pyramid.after_step()

    def state_dict(self) -> dict[str, Any]:
        """Returns what `TextureField.state_dict` says."""
        return self.pyramid.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as torch.nn.Module
        """Does what `TextureField.load_state_dict` says."""
        return self.pyramid.load_state_dict(state_dict)


def continue_nearest(image: Float[Tensor, "c s s"], inside: Tensor) -> Float[Tensor, "c s s"]:
    """Returns the image with every texel outside the charts replaced by the nearest one inside; unchanged without
    charts."""
    known = inside.numpy()
    if not known.any():
        return image
    rows, columns = np.asarray(distance_transform_edt(~known, return_distances=False, return_indices=True))
    return image[:, torch.from_numpy(rows.astype(np.int64)), torch.from_numpy(columns.astype(np.int64))].contiguous()


def _with_slopes(initial: BakedTexture, config: MaterialFieldConfig) -> BakedTexture:
    """The texture that the pyramid starts from: slopes in place of the normal."""
    missing = sorted(config.optimized().keys() - {_SLOPE} - initial.maps.keys())
    if missing:
        raise TextureError(f"The initial material has maps {sorted(initial.maps)}, but not {missing}; add them.")
    maps = {name: images for name, images in initial.maps.items() if name in config.optimized()}
    if config.with_normal:
        count, size = len(initial.tiles), initial.size
        flat = [torch.full((2, size, size), 0.5) for _ in range(count)]
        normals = initial.maps.get("normal")
        maps[_SLOPE] = flat if normals is None else [slopes_from_normal(image[None])[0] for image in normals]
    return BakedTexture(maps=maps, tiles=initial.tiles, uncovered_fraction=initial.uncovered_fraction)
