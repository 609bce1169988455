# SPDX-License-Identifier: Apache-2.0
"""Distinct rows of an array, in a fraction of the time that `numpy.unique` with an axis takes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, Num

__all__ = ["unique_rows"]


def unique_rows(rows: Num[np.ndarray, "N C"]) -> tuple[Num[np.ndarray, "M C"], Int[np.ndarray, " N"]]:
    """Returns the distinct rows in ascending order, and for each given row the number of its distinct one.

    The same as `numpy.unique(rows, axis=0, return_inverse=True)`, which sorts rows as structures and stands still for
    seconds on a mesh of two million triangles; this sorts column by column. NaN equals nothing, not itself either.
    """
    if len(rows) == 0:
        return rows, np.empty(0, dtype=np.int64)
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    starts = np.empty(len(rows), dtype=bool)
    starts[0] = True
    np.any(ordered[1:] != ordered[:-1], axis=1, out=starts[1:])
    inverse = np.empty(len(rows), dtype=np.int64)
    inverse[order] = np.cumsum(starts) - 1
    return ordered[starts], inverse
