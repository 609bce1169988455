# SPDX-License-Identifier: Apache-2.0
"""Signed distances of points from a mesh, also of one that has holes or crosses itself."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree

from pgc.cameras.rigs import fibonacci_directions
from pgc.mesh.data import TriangleMesh
from pgc.rendering.raster.ray_hits import HitCaster

__all__ = ["signed_distance"]

_DIRECTIONS = 13
_FAR = 100.0


def signed_distance(
    triangles: TriangleMesh, caster: HitCaster, points: Float[np.ndarray, "n 3"], spacing: float
) -> Float[np.ndarray, " n"]:
    """Measures the distance of points from a surface, negative inside.

    A point is inside where most rays from it meet a triangle from behind first. The distance is that to samples of the
    surface, about `spacing` apart.

    Args:
        triangles: the mesh.
        caster: rays into the same mesh.
        points: where to measure.
        spacing: between samples, in units of the mesh.
    """
    distance, _ = KDTree(_samples(triangles, spacing)).query(points)
    corners = triangles.positions.astype(np.float64)[triangles.faces]
    normals = torch.from_numpy(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    origins, votes = torch.from_numpy(points).float(), np.zeros(len(points), dtype=np.int64)
    for direction in torch.from_numpy(fibonacci_directions(_DIRECTIONS)):
        hits = caster.first_hits(origins, direction.float().expand(len(points), 3).contiguous(), _FAR)
        face = hits.face.cpu().long()
        behind = (normals[face.clamp_min(0)] * direction).sum(dim=1) > 0.0
        votes += (behind & (face >= 0)).numpy()
    return np.where(votes * 2 > _DIRECTIONS, -distance, distance)


def _samples(triangles: TriangleMesh, spacing: float) -> Float[np.ndarray, "m 3"]:
    """Points on every triangle, on a grid of its own whose steps are at most `spacing`."""
    corners = triangles.positions.astype(np.float64)[triangles.faces]
    longest = np.linalg.norm(corners - corners[:, [1, 2, 0]], axis=2).max(axis=1)
    steps = np.maximum(np.ceil(longest / spacing), 1).astype(np.int64)
    found = []
    for count in np.unique(steps).tolist():
        own = corners[steps == count]
        weights = np.array(
            [(i, j, count - i - j) for i in range(count + 1) for j in range(count + 1 - i)], dtype=np.float64
        )
        found.append(np.einsum("wc,tcx->twx", weights / count, own).reshape(-1, 3))
    return np.concatenate(found)
