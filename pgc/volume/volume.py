# SPDX-License-Identifier: Apache-2.0
"""A volume that a run learns: its field, and the grid that says where there is nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pgc.cameras import Camera
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.volume.field import VolumeField, VolumeFieldConfig
from pgc.volume.light.marching import MarchConfig, Marched, march
from pgc.volume.light.rays import Rays, camera_rays
from pgc.volume.occupancy import OccupancyConfig, OccupancyGrid

__all__ = ["Volume", "VolumeConfig", "VolumeSight"]

_SEEN_FROM = 0.5
"""Opacity from which on a pixel counts as showing the object."""
_LEAST = 1e-6
_CORNERS = ((1.0, -1.0, -1.0), (-1.0, -1.0, 1.0), (-1.0, 1.0, -1.0), (1.0, 1.0, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeConfig:
    """What a volume is made of."""

    field: VolumeFieldConfig = dataclasses.field(default_factory=VolumeFieldConfig)
    occupancy: OccupancyConfig = dataclasses.field(default_factory=OccupancyConfig)
    march: MarchConfig = dataclasses.field(default_factory=MarchConfig)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeSight:
    """What cameras see of a volume of this moment, on its graph."""

    color: Float[Tensor, "b 3 h w"]
    """Colours times opacity."""
    opacity: Float[Tensor, "b 1 h w"]
    place: Float[Tensor, "b 3 h w"]
    """Mean place that each pixel's light comes from, cut off from the graph; meaningless where nothing is seen."""
    gbuffer: GBuffer
    """The same as what controls and reports know: depth, mask and place, without gradients and without normals."""
    toward: Float[Tensor, "b 3 h w"]
    """Unit direction from the place to the viewer."""
    looks: int
    """At how many places the field was asked for."""


class Volume(torch.nn.Module):
    """`pgc.optimization.views.subject.Learnt` of a volume over [-1, 1]³."""

    def __init__(self, config: VolumeConfig, start: Float[Tensor, "s s s"], device: torch.device | str = "cpu") -> None:
        """`start`: see `VolumeField`."""
        super().__init__()
        self.config = config
        self.field = VolumeField(config.field, start, device)
        self.occupancy = OccupancyGrid(config.occupancy, config.field.seed, device)
        self.occupancy.update(self.field.density_at)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.field.grid.device

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Returns Adam's groups: the grid at `learning_rate`, the network at a part of it."""
        return self.field.parameter_groups(learning_rate)

    def after_step(self) -> None:
        """Looks after the occupancy grid."""
        self.occupancy.after_step(self.field.density_at)

    def look(self, cameras: Sequence[Camera], side: int, generator: torch.Generator | None = None) -> VolumeSight:
        """Renders square pictures; a generator shifts each ray's looks, so that steps leave no rings."""
        rays = camera_rays(cameras, side, self.device)
        shift = None if generator is None else torch.rand(len(rays.origins), generator=generator)
        seen = march(self.field.at, rays, self.config.march, occupied=self.occupancy.contains, shift=shift)
        return _sight(cameras, side, rays, seen)

    def normals_at(self, places: Float[Tensor, "n 3"], reach: float | None = None) -> Float[Tensor, "n 3"]:
        """Returns unit normals, against the way in which the density grows: tetrahedral differences over `reach`.

        DreamFusion takes the density's own gradient at every look of a ray. This asks for four places a pixel instead,
        around the one that its light comes from. None: the length of a step of rays.
        """
        length = self.config.march.step if reach is None else reach
        corners = torch.tensor(_CORNERS, device=places.device)
        around = (places[:, None] + length * corners).reshape(-1, 3)
        levels = self.field.level_at(around).reshape(len(places), len(_CORNERS), 1)
        return F.normalize(-(levels * corners).sum(dim=1), dim=1, eps=_LEAST)


def _sight(cameras: Sequence[Camera], side: int, rays: Rays, seen: Marched) -> VolumeSight:
    def picture(values: Tensor) -> Tensor:
        """Returns values a ray as pictures."""
        return values.reshape(len(cameras), side, side, -1).movedim(-1, 1)

    with torch.no_grad():
        place = picture(rays.origins + rays.directions * (seen.distance / seen.opacity.clamp_min(_LEAST))[:, None])
        opacity = picture(seen.opacity)
        gbuffer = _gbuffer(cameras, place, opacity > _SEEN_FROM)
    return VolumeSight(
        color=picture(seen.color),
        opacity=picture(seen.opacity),
        place=place,
        gbuffer=gbuffer,
        toward=picture(-rays.directions),
        looks=seen.looks,
    )


def _gbuffer(cameras: Sequence[Camera], place: Float[Tensor, "b 3 h w"], mask: Tensor) -> GBuffer:
    """What is seen, as textures and controls know it. There are no triangles: one number stands for all of it."""
    to_camera = torch.from_numpy(np.stack([camera.world_to_camera for camera in cameras])).to(place)
    depth = -(torch.einsum("bw,bwij->bij", to_camera[:, 2, :3], place) + to_camera[:, 2, 3, None, None])[:, None]
    empty = partial(torch.zeros, dtype=place.dtype, device=place.device)
    batch, _, side, _ = place.shape
    return GBuffer(
        face_index=torch.where(mask[:, 0], 0, -1).to(torch.int32),
        barycentrics=empty((batch, 3, side, side)),
        uv=empty((batch, 2, side, side)),
        uv_footprint=empty((batch, 4, side, side)),
        position=place * mask,
        normal=empty((batch, 3, side, side)),
        tangent=empty((batch, 4, side, side)),
        depth=depth * mask,
        mask=mask,
        coverage=mask.to(place),
    )
