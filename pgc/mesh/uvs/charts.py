# SPDX-License-Identifier: Apache-2.0
"""Charts of a UV layout: faces connected over edges with equal UVs; and the seams between them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from blender_addon.uv_measure.charts import edge_keys, edge_uvs, uv_bits
from pgc.mesh.data import TriangleMesh

__all__ = ["SeamEdges", "chart_ids", "seam_edges"]

_HASH, _HASH_2, _HASH_3 = 0x2545F4914F6CDD1D, 0x1B873593CC9E2D51, 0x27D4EB2F165667C5
"""Odd factors that spread keys over 64 bits; equal hashes are compared in full, so they only cost time."""


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

    def within_slots(self, triangles: TriangleMesh) -> "SeamEdges":
        """Returns the edges between faces of the same material slot."""
        same = triangles.material_index[self.face_a] == triangles.material_index[self.face_b]
        return SeamEdges(
            face_a=self.face_a[same], edge_a=self.edge_a[same], face_b=self.face_b[same], edge_b=self.edge_b[same]
        )


def chart_ids(triangles: TriangleMesh) -> Int32[np.ndarray, " F"]:
    """Returns the chart of each face: connected components over edges with equal positions and equal UVs at both ends.

    Numbered from 0 in order of the first face of each chart.
    """
    edges = edge_keys(triangles.faces, len(triangles.positions))
    uvs = edge_uvs(triangles.faces, triangles.corner_uvs)
    # Half-edges with the same ends and UVs become neighbours in the sorted row, however many faces share an edge.
    key = edges * _HASH + uv_bits(uvs[:, :2]) * _HASH_2 + uv_bits(uvs[:, 2:]) * _HASH_3
    order = np.argsort(key)
    first, second = order[:-1], order[1:]
    near = np.flatnonzero(key[first] == key[second])
    first, second = first[near], second[near]
    equal = (edges[first] == edges[second]) & (uvs[first] == uvs[second]).all(axis=1)
    first, second = first[equal] // 3, second[equal] // 3
    count = len(triangles.faces)
    graph = coo_matrix((np.ones(len(first), dtype=np.int8), (first, second)), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    first_face = np.full(int(labels.max()) + 1, count, dtype=np.int64)
    np.minimum.at(first_face, labels, np.arange(count))
    rank = np.empty(len(first_face), dtype=np.int32)
    rank[np.argsort(first_face)] = np.arange(len(first_face), dtype=np.int32)
    return rank[labels]


def seam_edges(triangles: TriangleMesh) -> SeamEdges:
    """Returns the seams: edges of exactly two faces whose UVs differ. Edges of one face (borders) or of three are none.

    Ordered by half-edge number 3 * face_a + edge_a, with face_a < face_b.
    """
    key = edge_keys(triangles.faces, len(triangles.positions))
    order = np.argsort(key)
    same = key[order[1:]] == key[order[:-1]]
    alone = same.copy()
    alone[1:] &= ~same[:-1]
    alone[:-1] &= ~same[1:]
    first, second = np.sort(np.stack([order[:-1][alone], order[1:][alone]]), axis=0)
    uvs = edge_uvs(triangles.faces, triangles.corner_uvs)
    seam = (uvs[first] != uvs[second]).any(axis=1)
    first, second = first[seam].astype(np.int32), second[seam].astype(np.int32)
    by_first = np.argsort(first)
    first, second = first[by_first], second[by_first]
    return SeamEdges(face_a=first // 3, edge_a=first % 3, face_b=second // 3, edge_b=second % 3)
