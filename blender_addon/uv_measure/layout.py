# SPDX-License-Identifier: Apache-2.0
"""Where the charts of a UV layout lie: the tiles of a UDIM layout, or one picture that repeats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .charts import cut_neighbours, wound_charts
from .raster import corner_bounds

__all__ = ["Layout", "origins"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.signedinteger[Any]]

_EDGE_TOLERANCE = 1e-4
_TILES_IN_ROW = 10


def origins(tile: Ints) -> Ints:
    """Returns the lower left corner [N, 2] of each tile, in whole units."""
    return np.stack([tile % _TILES_IN_ROW, tile // _TILES_IN_ROW], axis=1)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Charts, and the tile that each lies in. Where the layout is no UDIM one, all lie in tile 0 and repeat it."""

    usable: Bools
    chart: Ints
    chart_count: int
    cuts: tuple[Ints, Ints]
    tile: Ints
    tile_count: int
    folds: bool
    parked: bool = False
    """Charts in other squares than the first are copies of what lies in it."""

    @staticmethod
    def of(faces: Ints, corner_uvs: Floats, flipped: Bools, vertex_count: int, usable: Bools) -> Layout:
        """Finds the charts of the usable faces, the cuts between them, and the tile that each lies in."""
        chosen = np.flatnonzero(usable)
        chart, tile = np.zeros(len(faces), dtype=np.int64), np.zeros(len(faces), dtype=np.int64)
        if len(chosen) == 0:
            none = np.zeros(0, dtype=np.int64)
            return Layout(
                usable=usable, chart=chart, chart_count=0, cuts=(none, none), tile=tile, tile_count=1, folds=False
            )
        own, uvs, turned = faces[chosen], corner_uvs[chosen], flipped[chosen]
        charts = wound_charts(own, uvs, turned, vertex_count)
        chart[chosen] = charts
        square = _squares(uvs, charts)
        if square is not None:
            tile[chosen] = (square[:, 0] + _TILES_IN_ROW * square[:, 1])[charts]
        return Layout(
            usable=usable,
            chart=chart,
            chart_count=int(charts.max()) + 1,
            cuts=cut_neighbours(own, uvs, turned, charts, vertex_count),
            tile=tile,
            tile_count=len(np.unique(tile[chosen])),
            folds=square is None,
        )

    def folded(self) -> Layout:
        """Returns the same with all charts in tile 0, those of other squares on what lies there."""
        return replace(self, tile=np.zeros_like(self.tile), tile_count=1, folds=True, parked=True)


def _squares(uvs: Floats, charts: Ints) -> Ints | None:
    """The unit square [C, 2] that each chart lies in; None where the layout is no UDIM one."""
    order = np.argsort(charts, kind="stable")
    starts = np.flatnonzero(np.diff(charts[order], prepend=-1))
    lowest, highest = corner_bounds(uvs)
    low = np.minimum.reduceat(lowest[order], starts, axis=0).astype(np.float64)
    high = np.maximum.reduceat(highest[order], starts, axis=0).astype(np.float64)
    square = np.floor((low + high) / 2.0)
    fits = (low >= square - _EDGE_TOLERANCE) & (high <= square + 1.0 + _EDGE_TOLERANCE)
    named = (square >= 0).all() and (square[:, 0] < _TILES_IN_ROW).all() and (square[:, 1] < 900).all()
    return square.astype(np.int64) if fits.all() and named else None
