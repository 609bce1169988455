# SPDX-License-Identifier: Apache-2.0
"""A picture of a UV layout: how dense its texels are, and where they are shared."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .measure import UvFaces
from .raster import candidate_counts, corner_bounds, covered_cells

__all__ = ["density_picture"]

_SPAN = 2.0
"""Factors of two from the median density to the ends of the scale."""
_EMPTY = (38, 38, 42)
_SHARED = (214, 39, 40)
_STACKED = (250, 220, 80)
_COARSE, _EVEN, _FINE = (48, 84, 168), (226, 226, 220), (64, 150, 86)
_MAX_CANDIDATES = 24_000_000
_MAX_EXTENT = 8.0


def density_picture(corner_uvs: npt.NDArray[Any], faces: UvFaces, median: float, size: int = 512) -> npt.NDArray[Any]:
    """Draws the layout folded into one square, [size, size, 3] uint8, row 0 at the top.

    Gray-white is the median density, green up to four times as fine, blue down to a quarter; yellow texels serve
    mirrored or stacked parts, red ones places that should differ; dark ones are free.

    Args:
        corner_uvs: [F, 3, 2]; faces: of `measure_uvs`; median: its `density_median`.
    """
    picture = np.empty((size, size, 3), dtype=np.uint8)
    picture[:] = _EMPTY
    low, high = corner_bounds(corner_uvs)
    chosen = np.flatnonzero(~faces.without & (np.maximum(*(high - low).T) <= _MAX_EXTENT))
    triangles = corner_uvs[chosen].astype(np.float64) * size
    # Above the limit the picture shows a part of the faces, evenly chosen: it is a picture, not a measure.
    surplus = int(np.ceil(candidate_counts(triangles)[1].sum() / _MAX_CANDIDATES))
    if surplus > 1:
        chosen, triangles = chosen[::surplus], triangles[::surplus]
    row, cell = covered_cells(triangles)
    face = chosen[row]
    colors = _colors(faces.density, median)
    colors[faces.stacked] = _STACKED
    colors[faces.tiled | faces.crossed] = _SHARED
    picture[size - 1 - np.mod(cell[:, 1], size), np.mod(cell[:, 0], size)] = colors[face]
    return picture


def _colors(density: npt.NDArray[Any], median: float) -> npt.NDArray[Any]:
    """[F, 3] uint8."""
    step = np.log2(np.maximum(density, 1e-30) / max(median, 1e-30)) / _SPAN
    fine, coarse = np.clip(step, 0.0, 1.0)[:, None], np.clip(-step, 0.0, 1.0)[:, None]
    even = np.asarray(_EVEN, dtype=np.float64)
    mixed = even + fine * (np.asarray(_FINE) - even) + coarse * (np.asarray(_COARSE) - even)
    return mixed.round().astype(np.uint8)
