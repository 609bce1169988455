# SPDX-License-Identifier: Apache-2.0
"""Ambient occlusion of a mesh by rays: how much of an even sky each point of the surface sees."""

import math
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.errors import ConfigError
from pgc.rendering.brdf import hammersley

__all__ = ["RayCaster", "ambient_occlusion"]

_CHUNK_RAYS = 1 << 20
_LIFT = 1e-3
"""Rays start this far above the surface, in units of the normalised mesh (1.6 across)."""


@runtime_checkable
class RayCaster(Protocol):
    """Asks a fixed mesh whether it is in the way; both rasterisers can."""

    def blocked(
        self, origins: Float[Tensor, "N 3"], directions: Float[Tensor, "N 3"], reach: float
    ) -> Bool[Tensor, " N"]:
        """Says whether the ray from each origin meets the mesh, from either side, within `reach` of its direction."""
        ...


def ambient_occlusion(
    caster: RayCaster,
    positions: Float[Tensor, "N 3"],
    normals: Float[Tensor, "N 3"],
    *,
    rays: int = 64,
    reach: float = math.inf,
    generator: torch.Generator,
) -> Float[Tensor, "N"]:
    """Computes the share of light that arrives from an even sky: 1 where nothing is in the way, 0 where everything is.

    Directions are drawn by the cosine to the normal, so that the share of free rays is the answer; they are spread
    evenly and turned by a random angle at each point, which leaves an error of about 0.4 / sqrt(rays) at most.

    Args:
        caster: the mesh.
        positions: points on it, world.
        normals: unit, on the side that is looked from.
        rays: a point, from 1 on.
        reach: what is farther away does not count, world units; infinite for all of the mesh.
        generator: CPU generator; draws the turns.

    Raises:
        ConfigError: there are no rays, or `reach` is not above 0.
    """
    if rays < 1 or not reach > 0:
        raise ConfigError(f"Got {rays} rays of reach {reach}; expected at least one, and a reach above 0.")
    reach = min(reach, 1e6)
    shifts = torch.rand((len(positions), 1, 2), generator=generator).to(positions.device)
    even = hammersley(rays, positions.device)[None]
    per_chunk = max(1, _CHUNK_RAYS // rays)
    parts = []
    for first in range(0, len(positions), per_chunk):
        rows = slice(first, first + per_chunk)
        directions = _around(normals[rows], (even + shifts[rows]) % 1.0)
        origins = (positions[rows] + _LIFT * normals[rows])[:, None].expand_as(directions)
        blocked = caster.blocked(origins.reshape(-1, 3), directions.reshape(-1, 3), reach)
        parts.append(1.0 - blocked.view(-1, rays).float().mean(dim=1))
    return torch.cat(parts) if parts else positions.new_zeros(0)


def _around(normals: Float[Tensor, "n 3"], numbers: Float[Tensor, "n r 2"]) -> Float[Tensor, "n r 3"]:
    """Directions with the density of the cosine: a point of the unit sphere on top of the normal."""
    z, angle = 1.0 - 2.0 * numbers[..., :1], 2.0 * math.pi * numbers[..., 1:]
    ring = (1.0 - z * z).clamp_min(0.0).sqrt()
    on_sphere = torch.cat([ring * torch.cos(angle), ring * torch.sin(angle), z], dim=-1)
    return F.normalize(normals[:, None] * (1.0 + 1e-5) + on_sphere, dim=-1)
