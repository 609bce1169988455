# SPDX-License-Identifier: Apache-2.0
"""How a mesh bends about each point of its surface: out along edges, in along crevices.

The integral of a mesh's mean curvature lies on its edges: half the length times the angle of the turn (Cohen-Steiner
and Morvan, "Restricted Delaunay triangulations and normal cycle", 2003). Both this measure and the mesh's area are
spread by one Gaussian in space, and the one is divided by the other: sharp edges and fine, round meshes are the same
thing then, and neither the size nor the shape of triangles matters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from pgc.mesh.data import TriangleMesh

__all__ = ["RIGHT_ANGLE", "Bends", "bending", "bends_of"]

RIGHT_ANGLE = math.sqrt(2.0 * math.pi) / 8.0
"""Curvature times reach on an edge of 90 degrees: the line's share pi/4 * sqrt(2 pi) of an area of 2 pi."""
_CELLS_A_REACH = 2
_WIDE = 3
"""Reaches beyond which the Gaussian is left out."""
_SAMPLES_A_CELL = 4.0
"""Points a face of a cell, by which a triangle's area is spread."""
_MOST_SAMPLES = 4e6
"""Of them, beyond one a triangle."""
_TOGETHER = 1e-5
"""Share of a mesh's longest side within which vertices count as one."""


@dataclass(frozen=True, eq=False)
class Bends:
    """A mesh's curvature and area, each spread by a Gaussian over a grid in space; see `bends_of`."""

    low: Float64[np.ndarray, "3"]
    cell: float
    reach: float
    smooth: Float[Tensor, "c x y z"]
    """Curvature, and area, at the grid's nodes."""

    def at(self, points: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, " n"]:
        """Returns the mean curvature about points on the surface as a share of that on an edge of 90 degrees: 1 there,
        less beside it; on a ball of radius R it is reach / R / `RIGHT_ANGLE`; below 0 where it bends inwards."""
        bend, area = _read(self.smooth, (points - self.low) / self.cell)
        found = bend / area.clamp_min(1e-30) * self.reach / RIGHT_ANGLE
        return torch.where(area > 0.0, found, 0.0).numpy().astype(np.float32)


def bends_of(triangles: TriangleMesh, reach: float) -> Bends:
    """Measures how a mesh bends everywhere.

    Args:
        triangles: the mesh; vertices that all but touch count as one, and so do triangles of the same three. Edges of
            three triangles and more bend nowhere.
        reach: standard deviation of the Gaussian, in the mesh's units.
    """
    welded, faces = _welded(triangles)
    cell = reach / _CELLS_A_REACH
    corners = welded[faces]
    low = corners.reshape(-1, 3).min(axis=0) - (_WIDE + 1) * reach
    counts = np.ceil((corners.reshape(-1, 3).max(axis=0) + (_WIDE + 1) * reach - low) / cell).astype(np.int64) + 1
    on_edges = _edge_samples(faces, corners, cell)
    on_faces = _face_samples(corners, cell)
    grid = torch.stack([_spread(low, cell, counts, *on_edges), _spread(low, cell, counts, *on_faces)])
    # Going onto the grid and off it again widen by a sixth of a cell's square each.
    return Bends(low, cell, reach, _blurred(grid, math.sqrt(_CELLS_A_REACH**2 - 1.0 / 3.0)))


def bending(triangles: TriangleMesh, points: Float32[np.ndarray, "n 3"], reach: float) -> Float32[np.ndarray, " n"]:
    """Returns what `Bends.at` says of a mesh whose bends are needed once."""
    return bends_of(triangles, reach).at(points)


def _welded(triangles: TriangleMesh) -> tuple[Float64[np.ndarray, "v 3"], Int64[np.ndarray, "f 3"]]:
    """Vertices of which no two lie together, and the triangles of three different ones, each once."""
    positions = triangles.positions.astype(np.float64)
    used = positions[np.unique(triangles.faces)]
    places = (positions - used.min(axis=0)) / max(_TOGETHER * float(np.ptp(used, axis=0).max()), 1e-300)
    # Two that lie together may fall into neighbouring cells, but hardly into such of a grid half a cell away as well.
    grids = [np.unique(np.floor(places + shift), axis=0, return_inverse=True)[1].reshape(-1) for shift in (0.0, 0.5)]
    label = np.arange(len(positions))
    for cells in (*grids, grids[0]):
        least = np.full(int(cells.max()) + 1, len(positions))
        np.minimum.at(least, cells, label)
        label = least[cells]
    faces = label[triangles.faces].astype(np.int64)
    differ = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    whole = faces[differ] if differ.any() else faces
    once = np.sort(np.unique(np.sort(whole, axis=1), axis=0, return_index=True)[1])
    return positions, whole[once]


def _edge_samples(
    faces: Int64[np.ndarray, "f 3"], corners: Float64[np.ndarray, "f 3 3"], cell: float
) -> tuple[Float64[np.ndarray, "s 3"], Float64[np.ndarray, " s"]]:
    """Points along the edges between two triangles, and what each has of half the length times the angle."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    doubled = np.linalg.norm(normals, axis=1)
    flat = doubled <= 1e-12 * doubled.max(initial=0.0)
    normals /= np.where(flat, 1.0, doubled)[:, None]
    ends = np.stack([faces[:, [1, 2]], faces[:, [2, 0]], faces[:, [0, 1]]], axis=1).reshape(-1, 2)
    order = np.lexsort(np.sort(ends, axis=1).T)
    keys = np.sort(ends, axis=1)[order]
    same = (keys[1:] == keys[:-1]).all(axis=1)
    pairs = np.flatnonzero(same & ~np.r_[False, same[:-1]] & ~np.r_[same[1:], False])
    one, two = order[pairs], order[pairs + 1]
    meet = (ends[one] == ends[two][:, ::-1]).all(axis=1) & ~flat[one // 3] & ~flat[two // 3]
    one, two = one[meet], two[meet]
    begin = corners[one // 3, (one % 3 + 1) % 3]
    along = corners[one // 3, (one % 3 + 2) % 3] - begin
    length = np.linalg.norm(along, axis=1)
    across = np.cross(normals[one // 3], normals[two // 3])
    sine = (across * along).sum(axis=1) / np.maximum(length, 1e-30)
    angle = np.arctan2(sine, (normals[one // 3] * normals[two // 3]).sum(axis=1))
    bent = np.abs(angle) > 1e-6
    begin, along, length, angle = begin[bent], along[bent], length[bent], angle[bent]
    count = np.maximum(1, np.ceil(length / cell)).astype(np.int64)
    which = np.repeat(np.arange(len(count)), count)
    share = (_running(count) + 0.5) / count[which]
    return begin[which] + share[:, None] * along[which], (0.5 * length * angle / count)[which]


def _face_samples(
    corners: Float64[np.ndarray, "f 3 3"], cell: float
) -> tuple[Float64[np.ndarray, "s 3"], Float64[np.ndarray, " s"]]:
    """Points spread evenly over the triangles, and the area of each."""
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    wanted = _SAMPLES_A_CELL * area / cell**2
    # Where layers lie over each other there is no end to the area: fewer points then, each with more of it.
    fewer = min(1.0, _MOST_SAMPLES / max(float(wanted.sum()), 1.0))
    count = np.maximum(1, np.ceil(fewer * wanted)).astype(np.int64)
    which, number = np.repeat(np.arange(len(count)), count), _running(count)
    # Roberts' sequence: the plane's plastic number. A single point lies in the middle.
    u, v = (1.0 / 3.0 + 0.7548776662466927 * number) % 1.0, (1.0 / 3.0 + 0.5698402909980532 * number) % 1.0
    beyond = u + v > 1.0
    u, v = np.where(beyond, 1.0 - u, u), np.where(beyond, 1.0 - v, v)
    mine = corners[which]
    points = mine[:, 0] + u[:, None] * (mine[:, 1] - mine[:, 0]) + v[:, None] * (mine[:, 2] - mine[:, 0])
    return points, (area / count)[which]


def _running(count: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " s"]:
    """0, 1, … up to each count, one after the other."""
    return np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)


def _spread(
    low: Float64[np.ndarray, "3"],
    cell: float,
    counts: Int64[np.ndarray, "3"],
    points: Float64[np.ndarray, "s 3"],
    weights: Float64[np.ndarray, " s"],
) -> Float[Tensor, "x y z"]:
    """Shares each point's weight out to the eight nodes around it."""
    place = (points - low) / cell
    first = np.floor(place).astype(np.int64)
    rest = place - first
    total = np.zeros(int(counts.prod()))
    for corner in np.ndindex(2, 2, 2):
        step = np.array(corner)
        index = np.ravel_multi_index(tuple((first + step).T), tuple(counts))
        share = np.where(step == 1, rest, 1.0 - rest).prod(axis=1)
        total += np.bincount(index, weights * share, minlength=len(total))
    return torch.from_numpy(total.reshape(tuple(counts)).astype(np.float32))


def _blurred(grid: Float[Tensor, "c x y z"], deviation: float) -> Float[Tensor, "c x y z"]:
    half = math.ceil(_WIDE * _CELLS_A_REACH)
    at = torch.arange(-half, half + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (at / deviation) ** 2)
    kernel /= kernel.sum()
    for axis in range(3):
        shape = [1, 1, 1]
        shape[axis] = -1
        padding = [half if other == axis else 0 for other in range(3)]
        grid = F.conv3d(grid[:, None], kernel.view(1, 1, *shape), padding=padding)[:, 0]
    return grid


def _read(grid: Float[Tensor, "c x y z"], place: Float64[np.ndarray, "n 3"]) -> Float[Tensor, "c n"]:
    """The grid's values between its nodes."""
    sides = torch.tensor(grid.shape[1:], dtype=torch.float64) - 1.0
    # grid_sample counts the last axis first, from -1 to 1.
    at = (2.0 * torch.from_numpy(place) / sides - 1.0).flip(-1).float()
    return F.grid_sample(grid[None], at[None, None, None], mode="bilinear", align_corners=True)[0, :, 0, 0]
