# SPDX-License-Identifier: Apache-2.0
"""What is likely of a surface before anybody looks at it: means over the mesh, so that a weight means the same for any.

laplacian            vertices are near the mean of their neighbours (Sorkine, 2006), in units of the mean edge
normal_consistency   triangles that share an edge have alike normals
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from pgc.errors import ConfigError
from pgc.shape.rendering.moving_mesh import MovingMesh, edge_mates

__all__ = ["SurfacePenaltyConfig", "laplacian_penalty", "normal_consistency", "surface_penalty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfacePenaltyConfig:
    """Weights of the regularisers, in units of the gradient on one pixel; 0 switches one off."""

    laplacian: float = 0.0
    normal_consistency: float = 0.0

    def __post_init__(self) -> None:
        for name in ("laplacian", "normal_consistency"):
            if not getattr(self, name) >= 0.0:
                raise ConfigError(f"surface.{name} is {getattr(self, name)}; it must be 0 or more.")

    @property
    def is_on(self) -> bool:
        """Whether any regulariser has a weight."""
        return self.laplacian > 0.0 or self.normal_consistency > 0.0


def surface_penalty(config: SurfacePenaltyConfig, mesh: MovingMesh) -> Float[Tensor, ""]:
    """Computes the weighted sum of the regularisers that are on."""
    total = mesh.positions.new_zeros(())
    if config.laplacian:
        total = total + config.laplacian * laplacian_penalty(mesh.positions, mesh.faces)
    if config.normal_consistency:
        total = total + config.normal_consistency * normal_consistency(mesh.positions, mesh.faces)
    return total


def laplacian_penalty(positions: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, ""]:
    """Returns the mean squared distance of a vertex from the mean of its neighbours, over the mean squared edge.

    Neighbours count once for each triangle that they share.
    """
    starts, ends = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    sums = torch.zeros_like(positions).index_add(0, starts, positions[ends]).index_add(0, ends, positions[starts])
    counts = torch.bincount(torch.cat([starts, ends]), minlength=len(positions)).to(positions)[:, None]
    away = torch.where(counts > 0, sums / counts.clamp_min(1.0) - positions, 0.0)
    edge = (positions[starts] - positions[ends]).square().sum(dim=1).mean().detach()
    return away.square().sum(dim=1).sum() / (counts > 0).sum() / edge.clamp_min(torch.finfo(edge.dtype).tiny)


def normal_consistency(positions: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, ""]:
    """Returns the mean of 1 - cos of the angle between triangles that share an edge; 0 where none do."""
    mates = edge_mates(faces).reshape(-1)
    own = torch.nonzero(mates > torch.arange(len(mates), device=mates.device)).squeeze(1)
    first, second, third = positions[faces].unbind(dim=1)
    normals = F.normalize(torch.linalg.cross(second - first, third - first), dim=1, eps=1e-20)
    cosines = (normals[own // 3] * normals[mates[own] // 3]).sum(dim=1)
    return (1.0 - cosines).sum() / max(len(own), 1)
