# SPDX-License-Identifier: Apache-2.0
"""Which cells of a grid the triangles of a UV layout cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SAMPLE", "affordable_grid", "candidate_counts", "corner_bounds", "covered_cells"]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.signedinteger[Any]]

_CHUNK = 2_000_000
SAMPLE = np.array([0.5137, 0.4861])
"""Where in a cell its sample point lies."""
_MARGIN = 1e-3
"""In cells."""


def covered_cells(triangles: Floats) -> tuple[Ints, Ints]:
    """Returns the pairs (triangle [N], cell [N, 2]) where the sample point of an integer cell (column, row) lies in the
    triangle.

    Sample points are off the cells' centres by an odd amount, so that edges on a regular lattice do not hit them;
    a point must be inside by a small margin, so that triangles with a common edge never both have it.

    Args:
        triangles: corners [F, 3, 2], in cells.
    """
    first, counts = candidate_counts(triangles)
    ends = np.cumsum(counts)
    faces = [np.zeros(0, dtype=np.int64)]
    cells = [np.zeros((0, 2), dtype=np.int64)]
    begin = 0
    while begin < len(triangles):
        done = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + _CHUNK, side="right")))
        face, cell = _cells_inside(triangles[begin:end], first[begin:end], counts[begin:end])
        faces.append(face + begin)
        cells.append(cell)
        begin = end
    return np.concatenate(faces), np.concatenate(cells)


def affordable_grid(triangles: Floats, finest: int, *, least: int, most_cells: int) -> int:
    """Returns how many cells a unit has: `finest`, halved as often as the cells to look at would be too many.

    Args:
        triangles: corners [F, 3, 2], in units. Long thin ones have large boxes, of which each cell is looked at.
        least: a grid that is not halved any more; most_cells: in the boxes around all triangles.
    """
    grid = finest
    while grid > least and candidate_counts(triangles * grid)[1].sum() > most_cells:
        grid //= 2
    return grid


def candidate_counts(triangles: Floats) -> tuple[Ints, Ints]:
    """Returns the first cell [F, 2] of each triangle's bounding box, and how many cells [F] have their sample point in
    the box.
    """
    first, last = _cell_range(triangles)
    return first, np.maximum(last[:, 0] - first[:, 0] + 1, 0) * np.maximum(last[:, 1] - first[:, 1] + 1, 0)


def corner_bounds(triangles: Floats) -> tuple[Floats, Floats]:
    """Returns the lowest and highest coordinates [F, 2] of triangles [F, 3, 2]; numpy is slow along an axis of
    three.
    """
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    return np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)


def _cell_range(triangles: Floats) -> tuple[Ints, Ints]:
    low, high = corner_bounds(triangles)
    return np.ceil(low - SAMPLE).astype(np.int64), np.floor(high - SAMPLE).astype(np.int64)


def _cells_inside(triangles: Floats, first: Ints, counts: Ints) -> tuple[Ints, Ints]:
    chosen = np.flatnonzero(counts)
    triangles, first, counts = triangles[chosen], first[chosen], counts[chosen]
    width = np.maximum(_cell_range(triangles)[1][:, 0] - first[:, 0] + 1, 1)
    face = np.repeat(np.arange(len(triangles)), counts)
    within = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
    cell = first[face] + np.stack([within % width[face], within // width[face]], axis=1)
    point = cell + SAMPLE
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    area = _cross(b - a, c - a)
    turn = np.where(area < 0, -1.0, 1.0)
    inside = np.abs(area[face]) > 1e-12
    for start, end in ((a, b), (b, c), (c, a)):
        edge = (end - start) * turn[:, None]
        margin = _MARGIN * np.linalg.norm(edge, axis=1)
        inside &= _cross(edge[face], point - start[face]) > margin[face]
    return chosen[face[inside]], cell[inside]


def _cross(a: Floats, b: Floats) -> Floats:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
