# SPDX-License-Identifier: Apache-2.0
"""Where UVs lie: UDIM tiles, charts out of range, and overlaps."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int, Int32

__all__ = ["UvLayout", "arrange_uvs", "overlap_fraction"]

_FIRST_TILE = 1001
_TILES_IN_ROW = 10
_EDGE_TOLERANCE = 1e-4
"""UVs may cross the edge of their unit square by so much: less than half a texel of a 4096 texture."""

_GRID = 512
_MAX_CANDIDATES = 12_000_000
_CHUNK = 4_000_000
_MAX_UV_EXTENT = 8.0
_SAMPLE = np.array([0.5137, 0.4861])
_MARGIN = 1e-3
"""In cells."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class UvLayout:
    """UVs as a run uses them, and what had to be done for it."""

    corner_uvs: Float32[np.ndarray, "F 3 2"]
    face_tiles: Int32[np.ndarray, " F"]
    out_of_range_fraction: float
    needs_repeat: bool


def arrange_uvs(corner_uvs: Float32[np.ndarray, "F 3 2"], charts: Int32[np.ndarray, " F"]) -> UvLayout:
    """Finds the tiles of a layout and moves charts that are out of range.

    Where every chart sits inside one unit square with 0 <= u < 10 and 0 <= v, squares are UDIM tiles
    1001 + u + 10 v and UVs stay. Otherwise each chart moves by whole units: into tile 1001 where it fits, and so
    that its middle lies there where it does not (it then needs repeat addressing).
    """
    low, high = _chart_bounds(corner_uvs, charts)
    square = np.floor((low + high) / 2.0)
    fits = (low >= square - _EDGE_TOLERANCE).all(axis=1) & (high <= square + 1.0 + _EDGE_TOLERANCE).all(axis=1)
    if fits.all() and (square >= 0).all() and (square[:, 0] < _TILES_IN_ROW).all() and (square[:, 1] < 900).all():
        tiles = (_FIRST_TILE + square[:, 0] + _TILES_IN_ROW * square[:, 1]).astype(np.int32)
        return UvLayout(corner_uvs=corner_uvs, face_tiles=tiles[charts], out_of_range_fraction=0.0, needs_repeat=False)
    moved = (square != 0).any(axis=1)[charts]
    shifted = corner_uvs.copy()
    shifted[moved] = (corner_uvs[moved].astype(np.float64) - square[charts[moved], None, :]).astype(np.float32)
    out = ((corner_uvs < -_EDGE_TOLERANCE) | (corner_uvs > 1.0 + _EDGE_TOLERANCE)).any(axis=(1, 2))
    return UvLayout(
        corner_uvs=shifted,
        face_tiles=np.full(len(charts), _FIRST_TILE, dtype=np.int32),
        out_of_range_fraction=float(out.mean()),
        needs_repeat=not bool(fits.all()),
    )


def _chart_bounds(
    corner_uvs: Float32[np.ndarray, "F 3 2"], charts: Int32[np.ndarray, " F"]
) -> tuple[Float64[np.ndarray, "C 2"], Float64[np.ndarray, "C 2"]]:
    """Lowest and highest UV of each chart."""
    order = np.argsort(charts, kind="stable")
    starts = np.flatnonzero(np.diff(charts[order], prepend=-1))
    low = np.minimum.reduceat(corner_uvs.min(axis=1)[order], starts, axis=0)
    high = np.maximum.reduceat(corner_uvs.max(axis=1)[order], starts, axis=0)
    return low.astype(np.float64), high.astype(np.float64)


def overlap_fraction(corner_uvs: Float32[np.ndarray, "F 3 2"]) -> float:
    """Part of the used texture area that more than one triangle covers, in [0, 1], on a coarse grid of a tile.

    Out-of-range UVs count where the repeated texture has them. Triangles that repeat the texture more than
    8 times are left out: they are reported as out of range. The grid becomes coarser where big or many triangles
    would make it slow.
    """
    triangles = corner_uvs.astype(np.float64)
    triangles = triangles[(np.ptp(triangles, axis=1) <= _MAX_UV_EXTENT).all(axis=1)]
    grid = _GRID
    while grid > 32 and _candidate_counts(triangles * grid)[1].sum() > _MAX_CANDIDATES:
        grid //= 2
    cells = covered_cells(triangles * grid)[1]
    if len(cells) == 0:
        return 0.0
    column, row = cells[:, 0], cells[:, 1]
    tile_column, tile_row = column // grid, row // grid
    # Tiles of one layout are few; fold the rest (negative, far) into a bounded range of keys.
    key = ((tile_row % 64) * 64 + tile_column % 64) * grid * grid + (row % grid) * grid + column % grid
    used = np.bincount(np.unique(key, return_inverse=True)[1])
    return float((used > 1).sum() / len(used))


def covered_cells(triangles: Float64[np.ndarray, "F 3 2"]) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, "N 2"]]:
    """Pairs (triangle, cell) where the sample point of an integer cell (column, row) lies inside the triangle.

    Sample points are off the cells' centres by an odd amount, so that edges on a regular lattice do not hit them;
    a point must be inside by a small margin, so that triangles with a common edge never both have it.
    """
    first, counts = _candidate_counts(triangles)
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


def _candidate_counts(triangles: Float64[np.ndarray, "F 3 2"]) -> tuple[Int[np.ndarray, "F 2"], Int[np.ndarray, " F"]]:
    """First cell of each triangle's bounding box, and how many cells have their sample point in the box."""
    first, last = _cell_range(triangles)
    return first, np.maximum(last - first + 1, 0).prod(axis=1)


def _cell_range(triangles: Float64[np.ndarray, "F 3 2"]) -> tuple[Int[np.ndarray, "F 2"], Int[np.ndarray, "F 2"]]:
    first = np.ceil(triangles.min(axis=1) - _SAMPLE).astype(np.int64)
    last = np.floor(triangles.max(axis=1) - _SAMPLE).astype(np.int64)
    return first, last


def _cells_inside(
    triangles: Float64[np.ndarray, "F 3 2"], first: Int[np.ndarray, "F 2"], counts: Int[np.ndarray, " F"]
) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, "N 2"]]:
    width = np.maximum(_cell_range(triangles)[1][:, 0] - first[:, 0] + 1, 1)
    face = np.repeat(np.arange(len(triangles)), counts)
    within = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
    cell = first[face] + np.stack([within % width[face], within // width[face]], axis=1)
    point = cell + _SAMPLE
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    area = _cross(b - a, c - a)
    turn = np.where(area < 0, -1.0, 1.0)
    inside = np.abs(area[face]) > 1e-12
    for start, end in ((a, b), (b, c), (c, a)):
        edge = (end - start) * turn[:, None]
        margin = _MARGIN * np.linalg.norm(edge, axis=1)
        inside &= _cross(edge[face], point - start[face]) > margin[face]
    return face[inside], cell[inside]


def _cross(a: Float64[np.ndarray, "N 2"], b: Float64[np.ndarray, "N 2"]) -> Float64[np.ndarray, " N"]:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
