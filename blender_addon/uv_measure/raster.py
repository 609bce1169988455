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
_MOST_COUNTED = 2.0**36
"""More cells than anybody looks at; thirty million triangles of so many are still counted."""
_FAR = 2.0**62


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
        face, cell = _cells_inside(triangles[begin:end], first[begin:end])
        faces.append(face + begin)
        cells.append(cell)
        begin = end
    return np.concatenate(faces), np.concatenate(cells)


def affordable_grid(triangles: Floats, finest: int, *, least: int, most_cells: int) -> int:
    """Returns how many cells a unit has: `finest`, halved as often as the cells around the triangles would be too many.

    Args:
        triangles: corners [F, 3, 2], in units. Long thin ones have large boxes.
        least: a grid that is not halved any more; most_cells: in the boxes around all triangles.
    """
    grid = finest
    while grid > least and candidate_counts(triangles * grid)[1].sum() > most_cells:
        grid //= 2
    return grid


def candidate_counts(triangles: Floats) -> tuple[Ints, Ints]:
    """Returns the first cell [F, 2] of each triangle's bounding box, and how many cells [F] have their sample point in
    the box, `_MOST_COUNTED` at most: whole numbers would come round to small ones.
    """
    low, high = corner_bounds(triangles)
    first, last = np.ceil(low - SAMPLE), np.floor(high - SAMPLE)
    # One axis is cut first: of the greatest floats the product would have no end.
    sizes = np.clip(last - first + 1.0, 0.0, _MOST_COUNTED)
    counts = np.minimum(sizes[:, 0] * sizes[:, 1], _MOST_COUNTED)
    return np.clip(first, -_FAR, _FAR).astype(np.int64), counts.astype(np.int64)


def corner_bounds(triangles: Floats) -> tuple[Floats, Floats]:
    """Returns the lowest and highest coordinates [F, 2] of triangles [F, 3, 2]; numpy is slow along an axis of
    three.
    """
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    return np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)


def _cell_range(triangles: Floats) -> tuple[Ints, Ints]:
    low, high = corner_bounds(triangles)
    return np.ceil(low - SAMPLE).astype(np.int64), np.floor(high - SAMPLE).astype(np.int64)


def _cells_inside(triangles: Floats, first: Ints) -> tuple[Ints, Ints]:
    """Returns triangle and cell [N, 2] of what lies in one: it is one run of cells in each of a triangle's rows."""
    last = _cell_range(triangles)[1]
    rows = np.where(last[:, 0] >= first[:, 0], np.maximum(last[:, 1] - first[:, 1] + 1, 0), 0)
    face = np.repeat(np.arange(len(triangles)), rows)
    row = first[face, 1] + np.arange(len(face)) - np.repeat(np.cumsum(rows) - rows, rows)
    begin, end = first[face, 0], last[face, 0] + 1
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    area = _cross(b - a, c - a)
    turn = np.where(area < 0, -1.0, 1.0)
    for start, stop in ((a, b), (b, c), (c, a)):
        edge = (stop - start) * turn[:, None]
        margin = _MARGIN * np.linalg.norm(edge, axis=1)
        begin, end = _cut(begin, end, row, edge[face], start[face], margin[face])
    count = np.where(np.abs(area[face]) > 1e-12, np.maximum(end - begin, 0), 0)
    of = np.repeat(np.arange(len(face)), count)
    column = begin[of] + np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    return face[of], np.stack([column, row[of]], axis=1)


def _cut(begin: Ints, end: Ints, row: Ints, edge: Floats, start: Floats, margin: Floats) -> tuple[Ints, Ints]:
    """Cuts the columns `begin` to `end` of each row at an edge: what stays is on its inner side."""
    level, rise = edge[:, 0] * (row + SAMPLE[1] - start[:, 1]), edge[:, 1]

    def inside(column: Ints) -> npt.NDArray[np.bool_]:
        return level - rise * (column + SAMPLE[0] - start[:, 0]) > margin

    slope = np.where(rise == 0.0, 1.0, rise)
    with np.errstate(over="ignore"):
        place = np.ceil((level - margin) / slope + start[:, 0] - SAMPLE[0])
    column = np.clip(place, begin, end).astype(np.int64)
    # The division rounds; which side a cell is on is what the product says.
    column = column - (inside(column - 1) == (rise < 0.0))
    column = column + (inside(column) != (rise < 0.0))
    begin = np.where(rise < 0.0, np.maximum(begin, column), begin)
    end = np.where(rise > 0.0, np.minimum(end, column), end)
    return begin, np.where((rise == 0.0) & ~inside(begin), begin, end)


def _cross(a: Floats, b: Floats) -> Floats:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
