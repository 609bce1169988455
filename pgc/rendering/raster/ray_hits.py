# SPDX-License-Identifier: Apache-2.0
"""Where rays meet a mesh, and which part of it lies nearest to points along given directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.errors import ConfigError

__all__ = ["HitCaster", "RayHits", "nearest_along"]

_LIFT = 1e-4
"""Rays start so far behind their point, in units of the normalised mesh (1.6 across): a surface that coincides with the
point, up to rounding, is met."""
_PAST = 1e-5
"""A ray that goes on does so from this far behind what it met."""
_LAYERS = 8
"""Surfaces of the wrong side that a ray goes through at most."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RayHits:
    """What N rays met.

    Attributes:
        face: triangle; -1 where nothing was met.
        barycentrics: weights of its corners; 0 where nothing was met.
        distance: from the origin, in lengths of the direction, negative behind it; infinite where nothing was met.
    """

    face: Int[Tensor, "N"]
    barycentrics: Float[Tensor, "N 3"]
    distance: Float[Tensor, "N"]


@runtime_checkable
class HitCaster(Protocol):
    """Finds what rays meet of a fixed mesh; both rasterisers can."""

    def first_hits(self, origins: Float[Tensor, "N 3"], directions: Float[Tensor, "N 3"], reach: float) -> RayHits:
        """Finds the first triangle that each ray meets, from either side, within `reach` times its direction."""
        ...


def nearest_along(
    caster: HitCaster,
    origins: Float[Tensor, "N 3"],
    directions: Float[Tensor, "N 3"],
    reach: float,
    normals: Float[Tensor, "F 3"],
) -> RayHits:
    """Finds the nearest triangle ahead of or behind each point whose front looks along the direction.

    The facing keeps thin parts apart: of two sheets back to back, each point finds the one that faces its way.

    Args:
        caster: the mesh.
        origins: points.
        directions: unit.
        reach: how far to look both ways, in units of the mesh.
        normals: of the mesh's triangles, any length.

    Raises:
        ConfigError: the reach is not above 0.
    """
    if not reach > 0.0:
        raise ConfigError(f"Got a reach of {reach}; expected one above 0.")
    ahead = _first_facing(caster, origins, directions, 1.0, (reach, normals))
    behind = _first_facing(caster, origins, directions, -1.0, (reach, normals))
    nearer = behind.distance.abs() < ahead.distance.abs()
    return RayHits(
        face=torch.where(nearer, behind.face, ahead.face),
        barycentrics=torch.where(nearer[:, None], behind.barycentrics, ahead.barycentrics),
        distance=torch.where(nearer, behind.distance, ahead.distance),
    )


def _first_facing(
    caster: HitCaster,
    origins: Float[Tensor, "N 3"],
    directions: Float[Tensor, "N 3"],
    sign: float,
    search: tuple[float, Tensor],
) -> RayHits:
    """The first triangle one way whose front looks along the direction; goes through others."""
    reach, normals = search
    face = torch.full((len(origins),), -1, dtype=torch.int32, device=origins.device)
    barycentrics = torch.zeros_like(origins)
    distance = torch.full_like(origins[:, 0], torch.inf)
    travelled = torch.full_like(origins[:, 0], -_LIFT)
    rest = torch.arange(len(origins), device=origins.device)
    for _ in range(_LAYERS):
        if not len(rest):
            break
        start = origins[rest] + directions[rest] * (sign * travelled[rest])[:, None]
        hits = caster.first_hits(start, directions[rest] * sign, reach + _LIFT)
        at = travelled[rest] + hits.distance
        met = (hits.face >= 0) & (at <= reach)
        facing = (normals[hits.face.clamp_min(0).long()] * directions[rest]).sum(dim=1) > 0.0
        done = rest[met & facing]
        face[done] = hits.face[met & facing].to(face)
        barycentrics[done] = hits.barycentrics[met & facing].to(barycentrics)
        distance[done] = sign * at[met & facing]
        travelled[rest] = at + _PAST
        rest = rest[met & ~facing]
    return RayHits(face=face, barycentrics=barycentrics, distance=distance)
