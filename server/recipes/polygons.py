# SPDX-License-Identifier: Apache-2.0
"""The polygons that a mesh's triangles were cut from, found again by their outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Polygons", "polygons_of"]

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Polygons:
    """Polygons one after another, and where the triangles' corners are among theirs.

    Args:
        sizes: [P]; corner_positions: [L], indices of positions.
        corner: [F, 3], index of each triangle's corners in [0, L); -1 in triangles that name a position twice.
    """

    sizes: I32
    corner_positions: I32
    corner: I64


def polygons_of(faces: I32, polygon_index: I32 | None) -> Polygons:
    """Returns the polygons of triangles [F, 3] that say which polygon [F] they are part of; None: each is one of its
    own.

    Triangles of one number that have no single outline which passes each of their positions once stay triangles.
    """
    a, b, c = faces.astype(np.int64).T
    whole = (a != b) & (b != c) & (c != a)
    corner = np.full(faces.shape, -1, dtype=np.int64)
    rows = np.flatnonzero(whole)
    owner = np.arange(len(faces), dtype=np.int64) if polygon_index is None else polygon_index.astype(np.int64)
    own, group = faces[rows].astype(np.int64), owner[rows]
    outline = _Outline.of(own, group)
    odd = outline.odd[outline.triangle_polygon]
    if odd.any():
        group = np.where(odd, group.max(initial=0) + 1 + np.arange(len(group)), group)
        outline = _Outline.of(own, group)
    corner[rows] = outline.place[outline.node]
    positions = np.empty(len(outline.place), dtype=np.int32)
    positions[outline.place] = outline.position
    return Polygons(sizes=outline.sizes.astype(np.int32), corner_positions=positions, corner=corner)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Outline:
    """A node is a position in a polygon. place: [N], of each node in the order of the outlines; odd: [P], where there
    is no single one."""

    node: I64
    position: I64
    place: I64
    sizes: I64
    triangle_polygon: I64
    odd: Bools

    @staticmethod
    def of(faces: I64, group: I64) -> _Outline:
        polygon = np.unique(group, return_inverse=True)[1].reshape(-1)
        span = int(faces.max(initial=0)) + 1
        keys, node = np.unique(polygon[:, None] * span + faces, return_inverse=True)
        node = node.reshape(faces.shape)
        of_polygon, position = keys // span, keys % span
        count = int(polygon.max(initial=-1)) + 1
        sizes = np.bincount(of_polygon, minlength=count)
        following, odd = _following(node, of_polygon, count)
        rank, walked = _walk(following, np.cumsum(sizes) - sizes, odd)
        odd = odd | (walked != sizes)
        first = (np.cumsum(sizes) - sizes)[of_polygon]
        place = first + np.where(odd[of_polygon], np.arange(len(keys)) - first, rank)
        return _Outline(node=node, position=position, place=place, sizes=sizes, triangle_polygon=polygon, odd=odd)


def _following(node: I64, of_polygon: I64, count: int) -> tuple[I64, Bools]:
    """The node [N] that comes after each along the outline, and the polygons [P] where that is not one node each."""
    number = len(of_polygon)
    start, end = node.reshape(-1), node[:, [1, 2, 0]].reshape(-1)
    # An edge that another triangle of the polygon has the other way round is inside it.
    outer = ~np.isin(start * number + end, end * number + start)
    start, end = start[outer], end[outer]
    odd = np.zeros(count, dtype=bool)
    for side in (start, end):
        odd[of_polygon[np.bincount(side, minlength=number) != 1]] = True
    following = np.arange(number)
    following[start] = end
    return following, odd


def _walk(following: I64, first: I64, odd: Bools) -> tuple[I64, I64]:
    """Number of each node [N] along its outline, and how many nodes [P] were met until the first came again."""
    rank = np.zeros(len(following), dtype=np.int64)
    walked = np.zeros(len(first), dtype=np.int64)
    active = np.flatnonzero(~odd)
    at, step = first[active], 0
    while len(active):
        rank[at] = step
        step += 1
        walked[active] = step
        at = following[at]
        on = at != first[active]
        active, at = active[on], at[on]
    return rank, walked
