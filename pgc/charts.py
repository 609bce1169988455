# SPDX-License-Identifier: Apache-2.0
"""Charts of a UV layout: faces connected over edges with equal UVs; and the seams between them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pgc.mesh_data import TriangleMesh

__all__ = ["SeamEdges", "chart_ids", "seam_edges"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SeamEdges:
    """Interior mesh edges whose UVs differ on the two sides, one entry an edge.

    Edge e of a face goes from corner e to corner (e + 1) % 3. On the second side the edge may run the same way or
    the other way round: compare position indices.
    """

    face_a: Int32[np.ndarray, " E"]
    edge_a: Int32[np.ndarray, " E"]
    face_b: Int32[np.ndarray, " E"]
    edge_b: Int32[np.ndarray, " E"]


def chart_ids(triangles: TriangleMesh) -> Int32[np.ndarray, " F"]:
    """Chart of each face: connected components over edges with equal positions and equal UVs at both ends.

    Numbered from 0 in order of the first face of each chart.
    """
    first, second = _edge_pairs(triangles, manifold=False)
    equal = _same_uvs(triangles, first, second)
    count = len(triangles.faces)
    graph = coo_matrix(
        (np.ones(int(equal.sum()), dtype=np.int8), (first[equal] // 3, second[equal] // 3)), (count, count)
    )
    _, labels = connected_components(graph, directed=False)
    _, first_face, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first_face), dtype=np.int32)
    rank[np.argsort(first_face)] = np.arange(len(first_face), dtype=np.int32)
    return rank[inverse]


def seam_edges(triangles: TriangleMesh) -> SeamEdges:
    """Seams: edges of exactly two faces whose UVs differ. Edges of one face (borders) or of three are none."""
    first, second = _edge_pairs(triangles, manifold=True)
    seam = ~_same_uvs(triangles, first, second)
    first, second = first[seam].astype(np.int32), second[seam].astype(np.int32)
    return SeamEdges(face_a=first // 3, edge_a=first % 3, face_b=second // 3, edge_b=second % 3)


def _edge_pairs(triangles: TriangleMesh, *, manifold: bool) -> tuple[Int[np.ndarray, " E"], Int[np.ndarray, " E"]]:
    """Pairs of half-edge numbers (3 * face + edge) on the same undirected position edge.

    With `manifold` only edges of exactly two faces. Otherwise half-edges on one edge are chained; for charts they
    are sorted by UV too, so that equal ones are neighbours and the chain connects all of them.
    """
    start = triangles.faces.reshape(-1).astype(np.int64)
    end = np.roll(triangles.faces, -1, axis=1).reshape(-1).astype(np.int64)
    key = np.minimum(start, end) * len(triangles.positions) + np.maximum(start, end)
    key = np.where(start == end, -1 - np.arange(len(key)), key)  # an edge without length is nobody's neighbour
    order = np.argsort(key, kind="stable") if manifold else np.lexsort((*_edge_uvs(triangles).T, key))
    ranked = key[order]
    same = ranked[1:] == ranked[:-1]
    if manifold:
        longer = np.zeros_like(same)
        longer[1:] |= same[:-1]
        longer[:-1] |= same[1:]
        same &= ~longer
    return order[:-1][same], order[1:][same]


def _edge_uvs(triangles: TriangleMesh) -> Float32[np.ndarray, "H 4"]:
    """UVs of the ends of each half-edge, the end with the smaller position index first."""
    start_uv = triangles.corner_uvs.reshape(-1, 2)
    end_uv = np.roll(triangles.corner_uvs, -1, axis=1).reshape(-1, 2)
    forward = triangles.faces.reshape(-1) < np.roll(triangles.faces, -1, axis=1).reshape(-1)
    pair = np.concatenate([start_uv, end_uv], axis=1)
    return np.where(forward[:, None], pair, pair[:, [2, 3, 0, 1]])


def _same_uvs(
    triangles: TriangleMesh, first: Int[np.ndarray, " E"], second: Int[np.ndarray, " E"]
) -> Bool[np.ndarray, " E"]:
    uvs = _edge_uvs(triangles)
    return (uvs[first] == uvs[second]).all(axis=1)
