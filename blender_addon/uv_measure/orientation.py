# SPDX-License-Identifier: Apache-2.0
"""Which way the closed parts of a mesh are turned: with their outside, or their inside, to who looks at them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .charts import connected, edge_keys, welded

__all__ = ["TURNED_INWARDS", "is_turned_inwards"]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.signedinteger[Any]]

TURNED_INWARDS = (
    "The normals of {name} point inwards, as those of a room do, so its mask is that of a room. If it is seen from "
    "outside, turn its normals (Blender: Mesh > Normals > Recalculate Outside)."
)


def is_turned_inwards(positions: Floats, faces: Ints) -> bool:
    """Says whether the closed parts of a mesh enclose less than nothing, so that it is seen from inside.

    A part is closed where each of its edges has two triangles that are wound alike; others enclose nothing. Cavities
    count against what is around them, so that a hollow body is not turned inwards.

    Args:
        positions: [V, 3]; faces: [F, 3]. Vertices at one place count as one.
    """
    count = len(positions)
    own = welded(positions, faces)
    key = edge_keys(own, count)
    forward = (own < own[:, [1, 2, 0]]).reshape(-1)
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, np.int64)
    uses = np.diff(np.r_[first, len(ordered)])
    # Of two triangles that are wound alike, one has the edge forward and the other has it back.
    closed = (uses == 2) & (np.add.reduceat(forward[order].astype(np.int64), first) == 1) if len(first) else uses == 2
    # An edge without length closes nothing, and opens nothing.
    closed |= ordered[first] < 0
    part = connected(count, own[:, [0, 1]].reshape(-1), own[:, [1, 2]].reshape(-1))[own[:, 0]]
    open_parts = np.zeros(int(part.max(initial=-1)) + 1, dtype=bool)
    open_parts[part[order // 3][np.repeat(~closed, uses)]] = True
    whole = ~open_parts[part]
    points = positions.astype(np.float64)
    # Far from the origin the terms would be large, and their sum all rounding.
    points = (points - points.mean(axis=0))[own[whole]] if whole.any() else np.zeros((0, 3, 3))
    terms = (points[:, 0] * np.cross(points[:, 1], points[:, 2])).sum(axis=1)
    return bool(terms.sum() < -1e-9 * np.abs(terms).sum())
