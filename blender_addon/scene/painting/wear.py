# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a surface wears off and where dirt stays: along its edges and in its crevices. Pure numpy.

An edge that turns sharply gives a band of its own on both sides, so that a cube has worn edges and clean faces. What
turns gently, over many small triangles, is taken by the mean curvature of its vertices (Meyer et al., "Discrete
Differential-Geometry Operators for Triangulated 2-Manifolds", 2003: the integral of it is half the sum of lengths times
angles).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Wear", "measure_wear"]

_GENTLE, _SHARP = 0.35, 1.0
"""Radians that an edge turns: below the first it belongs to a curved surface, from the second on it counts fully."""
_FROM, _FULL = 0.1, 0.5
"""Mean curvature times reach: where wear begins, and where it is full (a ball of twice the reach)."""


@dataclass(frozen=True, eq=False)
class Wear:
    """How much each place of the triangles wears.

    Args:
        bands: float32 [F, 3], 0 to 1, of the edge opposite to each corner. heights: float32 [F, 3], the distance of
            that corner from this edge. corners: float32 [F, 3], 0 to 1, of the curved surface. reach: of the bands.
    """

    bands: npt.NDArray[np.float32]
    heights: npt.NDArray[np.float32]
    corners: npt.NDArray[np.float32]
    reach: float

    def at(self, triangle: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Returns the wear of places, float32 [N] of 0 to 1, by their triangle [N] and barycentric weights [N, 3]."""
        near = (1.0 - weights * self.heights[triangle] / self.reach).clip(0.0, 1.0)
        band = (near * self.bands[triangle]).max(axis=1)
        curved = (weights * self.corners[triangle]).sum(axis=1)
        return np.maximum(band, curved).astype(np.float32)

    @property
    def worn(self) -> npt.NDArray[np.bool_]:
        """Which triangles have any of it, [F]."""
        return (self.bands > 0.0).any(axis=1) | (self.corners > 0.0).any(axis=1)


def measure_wear(
    positions: npt.NDArray[np.float32], faces: npt.NDArray[np.int32], reach: float, *, convex: bool
) -> Wear:
    """Measures a mesh. Vertices at one place count as one, as where an importer has cut a mesh along its UVs.

    Args:
        positions: [V, 3]; faces: [F, 3]; reach: of a band, in the same unit.
        convex: edges that stick out; else those that lie inside.
    """
    welded, place = np.unique(positions, axis=0, return_inverse=True)
    corner = place.reshape(-1)[faces].astype(np.int64)
    points = welded.astype(np.float64)[corner]
    normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    doubled = np.linalg.norm(normals, axis=1)
    flat = doubled <= 1e-10 * doubled.max(initial=0.0)
    normals = np.where(flat[:, None], 0.0, normals / np.where(flat, 1.0, doubled)[:, None])
    lengths = np.stack(
        [np.linalg.norm(points[:, (at + 2) % 3] - points[:, (at + 1) % 3], axis=1) for at in range(3)], 1
    )
    heights = doubled[:, None] / np.maximum(lengths, 1e-30)
    turned = _turns(corner, points, normals)
    turned = turned if convex else -turned
    bands = ((turned - _GENTLE) / (_SHARP - _GENTLE)).clip(0.0, 1.0)
    gentle = np.where(np.abs(turned) < _GENTLE, turned, 0.0) * lengths
    # Each edge is met from both of its triangles, and is shared by two vertices: a half for each, of half the integral.
    integral, area = np.zeros(len(welded)), np.zeros(len(welded))
    for at in range(3):
        for end in (1, 2):
            np.add.at(integral, corner[:, (at + end) % 3], gentle[:, at] / 8.0)
        np.add.at(area, corner[:, at], doubled / 6.0)
    curvature = integral / np.maximum(area, 1e-30) * reach
    vertex = ((curvature - _FROM) / (_FULL - _FROM)).clip(0.0, 1.0)
    return Wear(
        bands.astype(np.float32), heights.astype(np.float32), vertex[corner].astype(np.float32), max(reach, 1e-30)
    )


def _turns(
    corner: npt.NDArray[np.int64], points: npt.NDArray[np.float64], normals: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Radians by which the surface turns at the edge opposite to each corner, [F, 3]: more than 0 where it sticks out,
    0 where the edge has not two triangles that are turned alike.
    """
    count = len(corner)
    ends = np.stack([np.stack([corner[:, (at + 1) % 3], corner[:, (at + 2) % 3]], 1) for at in range(3)], 1)
    keys = np.sort(ends.reshape(-1, 2), axis=1)
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    same = (ordered[1:] == ordered[:-1]).all(axis=1)
    # Pairs only: where three or more triangles meet, nobody can say which side is out.
    before, after = np.r_[False, same[:-1]], np.r_[same[1:], False]
    first = np.flatnonzero(same & ~before & ~after)
    one, other = order[first], order[first + 1]
    forward = ends.reshape(-1, 2)
    opposed = (forward[one] == forward[other][:, ::-1]).all(axis=1)
    # A triangle without area looks nowhere.
    opposed &= (normals[one // 3].any(axis=1)) & (normals[other // 3].any(axis=1))
    one, other = one[opposed], other[opposed]
    cosine = (normals[one // 3] * normals[other // 3]).sum(axis=1).clip(-1.0, 1.0)
    apex = points[other // 3, other % 3] - points[one // 3, (one % 3 + 1) % 3]
    outward = (normals[one // 3] * apex).sum(axis=1) < 0.0
    angle = np.arccos(cosine) * np.where(outward, 1.0, -1.0)
    turned = np.zeros(count * 3)
    turned[one], turned[other] = angle, angle
    return turned.reshape(count, 3)
