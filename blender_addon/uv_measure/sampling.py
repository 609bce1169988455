# SPDX-License-Identifier: Apache-2.0
"""Points of the surface that fall on the sample points of texels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .layout import Layout, origins
from .raster import SAMPLE, affordable_grid, covered_cells
from .sharing import Samples

__all__ = ["Sampled", "Shape", "sample"]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.signedinteger[Any]]

_MAX_CANDIDATES = 4_000_000
_LEAST_GRID = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """Of each triangle, its corners' places [F, 3, 3] and UVs [F, 3, 2], and its material [F]."""

    corners: Floats
    uvs: Floats
    material: Ints


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """The samples of the triangles `face` [N], on a grid of so many along the side of a tile."""

    samples: Samples
    face: Ints
    grid: int

    def hits(self, count: int) -> Ints:
        """Returns how many samples each of `count` triangles has."""
        return np.bincount(self.face, minlength=count)


def sample(shape: Shape, layout: Layout, chosen: Ints, grid: int) -> Sampled:
    """Samples the chosen faces where they fall on texels' sample points."""
    triangles = shape.uvs[chosen]
    grid = affordable_grid(triangles, grid, least=_LEAST_GRID, most_cells=_MAX_CANDIDATES)
    row, cell = covered_cells(triangles * grid)
    face = chosen[row]
    inner = np.mod(cell, grid) if layout.folds else cell - origins(layout.tile[face]) * grid
    inner = np.clip(inner, 0, grid - 1)
    texel = (layout.tile[face] * grid + inner[:, 1]) * grid + inner[:, 0]
    weights = _barycentrics(triangles[row], (cell + SAMPLE) / grid)
    place = np.einsum("nk,nkd->nd", weights, shape.corners[face])
    return Sampled(
        samples=Samples(
            texel=texel,
            square=_square_number(cell, grid),
            chart=layout.chart[face],
            place=place.reshape(-1, 3),
            material=shape.material[face],
        ),
        face=face,
        grid=grid,
    )


def _square_number(cell: Ints, grid: int) -> Ints:
    square = np.floor_divide(cell, grid)
    return square[:, 0] + (square[:, 1] << 32)


def _barycentrics(corners: Floats, points: Floats) -> Floats:
    origin, a, b = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    offset = points - origin
    whole = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    second = (offset[:, 0] * b[:, 1] - offset[:, 1] * b[:, 0]) / whole
    third = (a[:, 0] * offset[:, 1] - a[:, 1] * offset[:, 0]) / whole
    return np.stack([1.0 - second - third, second, third], axis=1)
