# SPDX-License-Identifier: Apache-2.0
"""Local frames along mesh edges: the same surface point in the UVs of both faces beside an edge.

Beside an edge a surface point has coordinates (s, d): s along the edge and d away from it, both in 3D length, with
the two faces unfolded into one plane. Each face maps (s, d) to UV affinely. Following the map of one face beyond
the edge, with d < 0, is following the other face inwards by -d: that is how a texture continues across a seam.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int32

from pgc.mesh.data import TriangleMesh
from pgc.mesh.uvs.charts import SeamEdges

__all__ = ["EdgeFrames", "edge_frames", "interior_edges"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EdgeFrames:
    """Edges between two faces, with the affine map of each side. Degenerate edges and faces are left out.

    Attributes:
        length: 3D length of each edge.
        origin: UV of the edge's start on side 0 and 1; both sides run the same way in 3D.
        along: d(UV)/ds of each side.
        inward: d(UV)/dd of each side, d growing into that side's face.
        faces: the face of each side.
    """

    length: Float64[np.ndarray, " e"]
    origin: Float64[np.ndarray, "e 2 2"]
    along: Float64[np.ndarray, "e 2 2"]
    inward: Float64[np.ndarray, "e 2 2"]
    faces: Int32[np.ndarray, "e 2"]

    def points(
        self, edges: Int[np.ndarray, " n"], side: int, s: Float64[np.ndarray, " n"], d: Float64[np.ndarray, " n"]
    ) -> Float64[np.ndarray, "n 2"]:
        """Returns the UV of the points (s, d) beside some edges, by the map of one side."""
        return self.origin[edges, side] + s[:, None] * self.along[edges, side] + d[:, None] * self.inward[edges, side]


def edge_frames(triangles: TriangleMesh, edges: SeamEdges) -> EdgeFrames:
    """Computes the frames of edges that two faces share by position."""
    start = triangles.faces[edges.face_a, edges.edge_a]
    sides = [
        _side_map(triangles, face, edge, start)
        for face, edge in ((edges.face_a, edges.edge_a), (edges.face_b, edges.edge_b))
    ]
    (length, *_), _ = sides
    origin, along, inward = (np.stack([side[i] for side in sides], axis=1) for i in (1, 2, 3))
    faces = np.stack([edges.face_a, edges.face_b], axis=1)
    good = (length > 0.0) & np.isfinite(along).all(axis=(1, 2)) & np.isfinite(inward).all(axis=(1, 2))
    return EdgeFrames(
        length=length[good], origin=origin[good], along=along[good], inward=inward[good], faces=faces[good]
    )


def _side_map(
    triangles: TriangleMesh,
    face: Int32[np.ndarray, " e"],
    edge: Int32[np.ndarray, " e"],
    start: Int32[np.ndarray, " e"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Length, UV origin, d(UV)/ds and d(UV)/dd of one side; the edge starts at position index `start`."""
    first, second = edge, (edge + 1) % 3
    swap = triangles.faces[face, first] != start
    first, second = np.where(swap, second, first), np.where(swap, first, second)
    third = (edge + 2) % 3
    points = triangles.positions.astype(np.float64)[triangles.faces[face]]
    uvs = triangles.corner_uvs.astype(np.float64)[face]
    rows = np.arange(len(face))
    p0, p1, p2 = points[rows, first], points[rows, second], points[rows, third]
    uv0, uv1, uv2 = uvs[rows, first], uvs[rows, second], uvs[rows, third]
    length = np.linalg.norm(p1 - p0, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        tangent = (p1 - p0) / length[:, None]
        s2 = ((p2 - p0) * tangent).sum(axis=1)
        height = np.linalg.norm(p2 - p0 - s2[:, None] * tangent, axis=1)
        along = (uv1 - uv0) / length[:, None]
        inward = (uv2 - uv0 - s2[:, None] * along) / height[:, None]
    return length, uv0, along, inward


def interior_edges(triangles: TriangleMesh) -> SeamEdges:
    """Returns the edges of exactly two faces whose UVs agree: the ordinary edges inside charts, in the shape of
    seams."""
    start = triangles.faces.reshape(-1).astype(np.int64)
    end = np.roll(triangles.faces, -1, axis=1).reshape(-1).astype(np.int64)
    key = np.minimum(start, end) * len(triangles.positions) + np.maximum(start, end)
    order = np.argsort(key, kind="stable")
    _, first, counts = np.unique(key[order], return_index=True, return_counts=True)
    pairs = first[counts == 2]
    a, b = order[pairs], order[pairs + 1]
    uv_start, uv_end = triangles.corner_uvs.reshape(-1, 2), np.roll(triangles.corner_uvs, -1, axis=1).reshape(-1, 2)
    same_way = (start[a] == start[b])[:, None]
    agree = (uv_start[a] == np.where(same_way, uv_start[b], uv_end[b])).all(axis=1)
    agree &= (uv_end[a] == np.where(same_way, uv_end[b], uv_start[b])).all(axis=1) & (start[a] != end[a])
    a, b = a[agree].astype(np.int32), b[agree].astype(np.int32)
    return SeamEdges(face_a=a // 3, edge_a=a % 3, face_b=b // 3, edge_b=b % 3)
