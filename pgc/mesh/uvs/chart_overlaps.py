# SPDX-License-Identifier: Apache-2.0
"""Polygons that lie on others in a UV layout: found on a grid of texels, and which of them must move."""

import numpy as np
from jaxtyping import Bool, Float64, Int, Int32
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from pgc.mesh.uvs.layout import affordable_grid, covered_cells

__all__ = ["folded_polygons", "overlapping_pairs", "polygons_to_move"]

_GRID, _LEAST_GRID = 1024, 32
_LOOKED_AT = (-1.0, 3.0)
_MOST_CELLS = 10_000_000
"""In the boxes around all triangles."""


def overlapping_pairs(
    corners: Float64[np.ndarray, "F 3 2"], polygon: Int32[np.ndarray, " F"]
) -> tuple[Int[np.ndarray, "N 2"], float]:
    """Returns the pairs of polygons that cover the same texel, the lower number first, and the share of used texels
    that are covered twice, in [0, 1]. Of triangles of one polygon nothing is said: they cannot be parted."""
    texel, owner = _users(corners, polygon)
    if len(texel) == 0:
        return np.zeros((0, 2), dtype=np.int64), 0.0
    same = texel[1:] == texel[:-1]
    first, second = owner[:-1][same], owner[1:][same]
    differ = first != second
    pairs = np.stack([np.minimum(first, second)[differ], np.maximum(first, second)[differ]], axis=1)
    used = int((~same).sum()) + 1
    doubled = len(np.unique(texel[1:][same]))
    return np.unique(pairs, axis=0), doubled / used


def folded_polygons(corners: Float64[np.ndarray, "F 3 2"], polygon: Int32[np.ndarray, " F"]) -> Int[np.ndarray, " N"]:
    """Returns the polygons of which two triangles cover the same texel: they lie folded upon themselves."""
    texel, owner = _users(corners, polygon)
    return np.unique(owner[1:][(texel[1:] == texel[:-1]) & (owner[1:] == owner[:-1])])


def _users(
    corners: Float64[np.ndarray, "F 3 2"], polygon: Int32[np.ndarray, " F"]
) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """A number for each covered texel, once for each triangle that covers it, and that triangle's polygon; in order."""
    # Whatever lies far away lies on nothing, and its box would fill the memory.
    corners = np.clip(corners, *_LOOKED_AT)
    grid = affordable_grid(corners, _GRID, least=_LEAST_GRID, most_cells=_MOST_CELLS)
    face, cell = covered_cells(corners * grid)
    texel, owner = cell[:, 1] * (4 * grid) + cell[:, 0], polygon[face].astype(np.int64)
    order = np.lexsort((owner, texel))
    return texel[order], owner[order]


def polygons_to_move(
    pairs: Int[np.ndarray, "N 2"],
    corners: Float64[np.ndarray, "F 3 2"],
    polygon: Int32[np.ndarray, " F"],
) -> Bool[np.ndarray, " P"]:
    """Chooses one polygon of each pair at least, so that those that stay lie on nothing.

    Charts are walked from neighbour to neighbour, and what comes first stays: so a sheet that lies on another moves
    as one piece, not as many.
    """
    count = int(polygon.max()) + 1
    rank = _walk(corners, polygon, count)
    partners: dict[int, list[int]] = {}
    for first, second in pairs.tolist():
        partners.setdefault(first, []).append(second)
        partners.setdefault(second, []).append(first)
    moved = np.zeros(count, dtype=bool)
    stays = np.zeros(count, dtype=bool)
    for number in sorted(partners, key=lambda item: rank[item]):
        moved[number] = any(stays[other] for other in partners[number])
        stays[number] = not moved[number]
    return moved


def _walk(corners: Float64[np.ndarray, "F 3 2"], polygon: Int32[np.ndarray, " F"], count: int) -> Int[np.ndarray, " P"]:
    """A number for each polygon, in the order of a walk over its chart, bigger charts first."""
    points, vertex = np.unique(corners.reshape(-1, 2), axis=0, return_inverse=True)
    owner = np.repeat(polygon.astype(np.int64), 3)
    touches = coo_array((np.ones(len(owner), dtype=np.int8), (owner, vertex.reshape(-1))), shape=(count, len(points)))
    neighbours = (touches @ touches.T).tocoo()
    charts, chart = connected_components(neighbours, directed=False)
    _, first = np.unique(chart, return_index=True)
    # One walk from a node that touches each chart goes through all of them side by side.
    rows = np.concatenate([neighbours.row, np.full(charts, count)])
    columns = np.concatenate([neighbours.col, first])
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(count + 1, count + 1)).tocsr()
    order = breadth_first_order(graph, count, directed=False, return_predecessors=False)[1:]
    place = np.empty(charts, dtype=np.int64)
    place[np.argsort(-np.bincount(chart, minlength=charts), kind="stable")] = np.arange(charts)
    rank = np.empty(count, dtype=np.int64)
    rank[order[np.argsort(place[chart[order]], kind="stable")]] = np.arange(count)
    return rank
