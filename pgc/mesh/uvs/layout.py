# SPDX-License-Identifier: Apache-2.0
"""Where UVs lie: UDIM tiles, and charts out of range."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32

from blender_addon.uv_measure import affordable_grid, covered_cells

__all__ = ["UvLayout", "affordable_grid", "arrange_uvs", "covered_cells"]

_FIRST_TILE = 1001
_TILES_IN_ROW = 10
_EDGE_TOLERANCE = 1e-4
"""UVs may cross the edge of their unit square by so much: less than half a texel of a 4096 texture."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class UvLayout:
    """UVs as a run uses them, and what had to be done for it."""

    corner_uvs: Float32[np.ndarray, "F 3 2"]
    face_tiles: Int32[np.ndarray, " F"]
    out_of_range_fraction: float
    needs_repeat: bool


def arrange_uvs(
    corner_uvs: Float32[np.ndarray, "F 3 2"], charts: Int32[np.ndarray, " F"], *, parked: bool = False
) -> UvLayout:
    """Finds the tiles of a layout and moves charts that are out of range.

    Where every chart sits inside one unit square with 0 <= u < 10 and 0 <= v, squares are UDIM tiles
    1001 + u + 10 v and UVs stay. Otherwise each chart moves by whole units: into tile 1001 where it fits, and so
    that its middle lies there where it does not (it then needs repeat addressing). `parked` (`UvMeasure.parked`) says
    that what lies in other squares has no tiles of its own.
    """
    low, high = _chart_bounds(corner_uvs, charts)
    square = np.floor((low + high) / 2.0)
    fits = (low >= square - _EDGE_TOLERANCE).all(axis=1) & (high <= square + 1.0 + _EDGE_TOLERANCE).all(axis=1)
    named = (square >= 0).all() and (square[:, 0] < _TILES_IN_ROW).all() and (square[:, 1] < 900).all()
    if fits.all() and named and not parked:
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
