# SPDX-License-Identifier: Apache-2.0
"""Free room in a UV layout, and charts put into it: never on a texel that is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .raster import candidate_counts, covered_cells

__all__ = ["SCALES", "place_charts", "taken_cells"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.signedinteger[Any]]

_GRID = 512
_PADDING = 2
"""Cells between charts: 4 texels at 1024 texels a side, as a whole unwrap leaves."""
_MOST_CELLS = 16_000_000
"""That are looked at; where UVs repeat hundreds of times, they are looked at in a coarser grid."""
_MAX_CHARTS = 4000
"""Above it the search for room would take minutes."""
SCALES = (1.0, 0.8, 0.64, 0.5)
"""Of the others' density, the best first: coarser than half would show."""


def taken_cells(corner_uvs: Floats) -> Bools:
    """Returns the cells [row, column] of the unit square that triangles [F, 3, 2] touch, and some around them.

    UVs that run over the edge of the texture touch what lies there when it repeats. Where they repeat so often that
    looking at each cell would take minutes, more than they touch may count as taken, and never less.
    """
    triangles = corner_uvs.astype(np.float64)
    side = _GRID
    while side > 1 and _cost(triangles * side) > _MOST_CELLS:
        side //= 2
    if side == 1 and _cost(triangles) > _MOST_CELLS:
        return np.ones((_GRID, _GRID), dtype=bool)
    cells = np.concatenate([covered_cells(triangles * side)[1], _edge_cells(triangles * side)])
    grid = np.zeros((side, side), dtype=bool)
    grid[np.mod(cells[:, 1], side), np.mod(cells[:, 0], side)] = True
    if side < _GRID:
        # An outline may pass through the corner of a cell between two of its points.
        scale = _GRID // side
        grid = _spread(grid, 1).repeat(scale, axis=0).repeat(scale, axis=1)
    return _spread(grid, _PADDING)


def _spread(grid: Bools, reach: int) -> Bools:
    for axis in (0, 1):
        spread = grid.copy()
        for step in range(1, reach + 1):
            spread |= np.roll(grid, step, axis) | np.roll(grid, -step, axis)
        grid = spread
    return grid


def _cost(triangles: Floats) -> float:
    """Cells and points of outlines that are looked at for triangles [F, 3, 2], in cells."""
    lengths = np.abs(np.roll(triangles, -1, axis=1) - triangles).max(axis=2)
    return float(candidate_counts(triangles)[1].sum(dtype=np.float64) + 2.0 * lengths.sum())


def _edge_cells(triangles: Floats) -> Ints:
    """Cells along the outlines, so that triangles thinner than a cell are found too."""
    start, end = triangles.reshape(-1, 2), np.roll(triangles, -1, axis=1).reshape(-1, 2)
    counts = np.ceil(2.0 * np.abs(end - start).max(axis=1)).clip(1).astype(np.int64) + 1
    edge = np.repeat(np.arange(len(start)), counts)
    within = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    along = (within / (counts[edge] - 1))[:, None]
    return np.floor(start[edge] + along * (end - start)[edge]).astype(np.int64)


def place_charts(uvs: Floats, chart: Ints, taken: Bools) -> Floats | None:
    """Returns the charts' UVs in [0, 1]^2, moved to where nothing is taken, the biggest first; None where a chart finds
    no room.

    Args:
        uvs: [L, 2], at the scale that they shall have; chart: [L], from 0; taken: of `taken_cells`.
    """
    count = int(chart.max()) + 1
    if count > _MAX_CHARTS:
        return None
    low, high = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(low, chart, uvs)
    np.maximum.at(high, chart, uvs)
    # A cell more, since a chart may begin anywhere in its first one.
    sizes = np.ceil((high - low) * _GRID) + 1.0
    if (sizes > _GRID - 2 * _PADDING).any() or sizes.prod(axis=1).sum() > (~taken).sum():
        return None
    sizes = sizes.astype(np.int64)
    busy = taken.copy()
    busy[:_PADDING], busy[-_PADDING:], busy[:, :_PADDING], busy[:, -_PADDING:] = True, True, True, True
    corner = np.empty((count, 2), dtype=np.int64)
    for number in np.argsort(-sizes.max(axis=1), kind="stable").tolist():
        width, height = sizes[number].tolist()
        found = _first_room(busy, width, height)
        if found is None:
            return None
        row, column = found
        corner[number] = column, row
        rows = slice(max(row - _PADDING, 0), row + height + _PADDING)
        busy[rows, max(column - _PADDING, 0) : column + width + _PADDING] = True
    return uvs - low[chart] + corner[chart] / _GRID


def _first_room(taken: Bools, width: int, height: int) -> tuple[int, int] | None:
    """Row and column of the first free box, by a table of sums (Crow 1984)."""
    sums = np.zeros((_GRID + 1, _GRID + 1), dtype=np.int32)
    sums[1:, 1:] = taken.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    first = int(np.argmin(inside))
    row, column = divmod(first, inside.shape[1])
    return (row, column) if inside[row, column] == 0 else None
