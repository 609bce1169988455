# SPDX-License-Identifier: Apache-2.0
"""Signed distances of points from a mesh, also of one that has holes or crosses itself."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree

from pgc.cameras.rigs import fibonacci_directions
from pgc.mesh.data import TriangleMesh
from pgc.rendering.raster.ray_hits import HitCaster
from pgc.unique_rows import unique_rows

__all__ = ["Progress", "measuring", "signed_distance"]

Progress = Callable[[str, float], None]
"""Gets a stage's name and how much of it is done, in [0, 1]."""

_DIRECTIONS = 13
_FAR = 100.0
_POINTS_AT_ONCE = 1 << 14
_WORTH_SAYING = 1.0
"""Seconds from which on it is said that distances are measured."""


def signed_distance(
    triangles: TriangleMesh,
    caster: HitCaster,
    points: Float[np.ndarray, "n 3"],
    spacing: float,
    progress: Callable[[float], None] = lambda fraction: None,
) -> Float[np.ndarray, " n"]:
    """Measures the distance of points from a surface, negative inside.

    A point is inside where most rays from it meet a triangle from behind first. The distance is that to samples of the
    surface, about `spacing` apart.

    Args:
        triangles: the mesh.
        caster: rays into the same mesh.
        points: where to measure.
        spacing: between samples, in units of the mesh.
        progress: is told how much is done, in [0, 1].
    """
    progress(0.0)
    tree, found = KDTree(_samples(triangles, spacing)), []
    for first in range(0, len(points), _POINTS_AT_ONCE):
        # Of a fine grid this alone takes minutes.
        progress(0.5 * first / len(points))
        found.append(tree.query(points[first : first + _POINTS_AT_ONCE])[0])
    distance = np.concatenate(found)
    corners = triangles.positions.astype(np.float64)[triangles.faces]
    normals = torch.from_numpy(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    origins, votes = torch.from_numpy(points).float(), np.zeros(len(points), dtype=np.int64)
    for number, direction in enumerate(torch.from_numpy(fibonacci_directions(_DIRECTIONS))):
        progress(0.5 + 0.5 * number / _DIRECTIONS)
        hits = caster.first_hits(origins, direction.float().expand(len(points), 3).contiguous(), _FAR)
        face = hits.face.cpu().long()
        behind = (normals[face.clamp_min(0)] * direction).sum(dim=1) > 0.0
        votes += (behind & (face >= 0)).numpy()
    return np.where(votes * 2 > _DIRECTIONS, -distance, distance)


def measuring(progress: Progress | None) -> Callable[[float], None]:
    """Returns what `signed_distance` tells: nothing at first, then a stage of its own for each quarter, since a fine
    grid takes minutes."""
    begun = time.monotonic()

    def tell(fraction: float) -> None:
        """Passes on which quarter it is."""
        if progress is not None and time.monotonic() - begun > _WORTH_SAYING:
            progress(f"Measuring what is inside the mesh, {25 * int(4 * fraction)} %", fraction)

    return tell


def _samples(triangles: TriangleMesh, spacing: float) -> Float[np.ndarray, "m 3"]:
    """Points on every triangle, in rows along its longest edge; rows and points of a row are at most `spacing` apart.

    So a triangle has as many as its area needs, a long thin one too.
    """
    corners = triangles.positions.astype(np.float64)[triangles.faces]
    edges = np.roll(corners, -1, axis=1) - corners
    lengths = np.linalg.norm(edges, axis=2)
    turn = (lengths.argmax(axis=1)[:, None] + np.arange(3)) % 3
    corners, longest = np.take_along_axis(corners, turn[:, :, None], axis=1), lengths.max(axis=1)
    double_area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    height = double_area / np.where(longest > 0.0, longest, 1.0)
    steps = np.maximum(np.ceil(np.stack([longest, height], axis=1) / spacing), 1).astype(np.int64)
    kinds, numbers = unique_rows(steps)
    order = np.argsort(numbers.reshape(-1), kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(numbers.reshape(-1)))[:-1])
    return np.concatenate(
        [_rows_of(corners[group], along, up) for (along, up), group in zip(kinds.tolist(), groups, strict=True)]
    )


def _rows_of(corners: Float[np.ndarray, "t 3 3"], along: int, up: int) -> Float[np.ndarray, "m 3"]:
    """Points of triangles whose first edge is the longest: `up` rows above it, each of `along` steps, and the apex."""
    share, row = np.meshgrid(np.arange(along + 1) / along, np.arange(up) / up, indexing="ij")
    first, second = (1.0 - row) * (1.0 - share), (1.0 - row) * share
    weights = np.stack([first, second, row], axis=-1).reshape(-1, 3)
    weights = np.concatenate([weights, [[0.0, 0.0, 1.0]]])
    return np.einsum("wc,tcx->twx", weights, corners).reshape(-1, 3)
