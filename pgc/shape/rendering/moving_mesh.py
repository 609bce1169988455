# SPDX-License-Identifier: Apache-2.0
"""A mesh whose vertices are on a graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from pgc.mesh.data import TriangleMesh

__all__ = ["MovingMesh", "edge_mates", "still", "vertex_normals"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MovingMesh:
    """Triangles of this moment. All tensors share a device."""

    positions: Float[Tensor, "v 3"]
    """World positions, on the graph."""
    faces: Int[Tensor, "f 3"]
    """int64, counter-clockwise seen from outside."""
    colors: Float[Tensor, "v 3"]
    """sRGB in [0, 1], on the graph where colour is learnt."""


def vertex_normals(positions: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, "v 3"]:
    """Computes smooth unit normals: the sum of the faces' normals by their areas; 0 at vertices without a face."""
    first, second, third = positions[faces].unbind(dim=1)
    normals = torch.linalg.cross(second - first, third - first)
    sums = torch.zeros_like(positions)
    for corner in range(3):
        sums = sums.index_add(0, faces[:, corner], normals)
    return F.normalize(sums, dim=1, eps=torch.finfo(positions.dtype).tiny)


def edge_mates(faces: Int[Tensor, "f 3"]) -> Int[Tensor, "f 3"]:
    """Returns, for the edge opposite each corner, the corner of the triangle beyond it that is opposite the same edge.

    Corners by their number among all, three a triangle. -1 where an edge belongs to one triangle, or to more than two:
    both are outlines wherever they are seen.
    """
    ends = torch.stack([faces[:, [1, 2]], faces[:, [2, 0]], faces[:, [0, 1]]], dim=1).reshape(-1, 2)
    low, high = ends.min(dim=1).values, ends.max(dim=1).values
    order = torch.argsort(low * (faces.max() + 1) + high, stable=True)
    low, high = low[order], high[order]
    starts = torch.ones_like(low, dtype=torch.bool)
    starts[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    edge = starts.cumsum(0) - 1
    paired = torch.bincount(edge)[edge] == 2
    mates = torch.full_like(low, -1)
    first = order[paired & starts]
    second = order[paired & ~starts]
    mates[first], mates[second] = second, first
    return mates.reshape(-1, 3)


def still(mesh: MovingMesh) -> TriangleMesh:
    """Returns the mesh as it is now, for rays: positions and faces alone, all else is nothing that rays need."""
    faces = mesh.faces.detach().cpu().numpy().astype(np.int32)
    corners = np.zeros((*faces.shape, 4), dtype=np.float32)
    return TriangleMesh(
        positions=np.ascontiguousarray(mesh.positions.detach().cpu().numpy(), dtype=np.float32),
        faces=faces,
        corner_uvs=corners[..., :2],
        corner_normals=_corner_normals(mesh, faces),
        polygon_index=np.arange(len(faces), dtype=np.int32),
        corner_index=np.arange(faces.size, dtype=np.int32).reshape(faces.shape),
        material_index=np.zeros(len(faces), dtype=np.int32),
        corner_tangents=corners,
    )


@torch.no_grad()
def _corner_normals(mesh: MovingMesh, faces: np.ndarray) -> np.ndarray:
    normals = vertex_normals(mesh.positions.detach(), mesh.faces)
    return normals.cpu().numpy().astype(np.float32)[faces]
