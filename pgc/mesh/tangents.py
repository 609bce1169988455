# SPDX-License-Identifier: Apache-2.0
"""Tangents at the corners of triangles as MikkTSpace defines them, so that normal maps mean what they mean in Blender.

Mikkelsen, "Simulation of Wrinkled Surfaces Revisited" (2008), and his reference code: corners that share place, normal,
texture coordinates and handedness are one; there the unit directions of growing u of all their triangles, laid into
the plane of the normal, are averaged by the angles of the triangles' corners in that plane.
"""

import numpy as np
from jaxtyping import Float32, Float64, Int

from pgc.mesh.data import TriangleMesh
from pgc.unique_rows import unique_rows

__all__ = ["corner_tangents", "tangents_of"]

_FLAT = 1e-30
"""Twice the area in texture space below which a triangle has no direction of growing u."""


def tangents_of(triangles: TriangleMesh) -> Float32[np.ndarray, "F 3 4"]:
    """Returns the corner tangents that the mesh brings, or else those of `corner_tangents`."""
    brought = triangles.corner_tangents
    return corner_tangents(triangles) if brought is None else brought


def corner_tangents(triangles: TriangleMesh) -> Float32[np.ndarray, "F 3 4"]:
    """Computes (x, y, z, sign) of every corner: a unit vector orthogonal to the corner's normal, and the bitangent's
    side.

    The bitangent (growing v) is sign * cross(normal, tangent); the sign is that of the triangle's area in texture
    space. Corners without a tangent (all their triangles are degenerate, in space or in the texture) are all 0.

    Differs from the reference code in two rare cases: fans that meet in a corner without sharing an edge count as one,
    and degenerate triangles do not borrow tangents from their neighbours in space.
    """
    points = triangles.positions.astype(np.float64)[triangles.faces]
    along, area = _triangle_tangents(points, triangles.corner_uvs.astype(np.float64))
    normals = _unit(triangles.corner_normals.astype(np.float64))
    groups = _groups(triangles, area > 0)
    weighted = np.zeros((len(points), 3, 3))
    usable = (np.abs(area) > _FLAT) & (np.linalg.norm(along, axis=1) > 0)
    for corner in range(3):
        normal = normals[:, corner]
        ahead = _unit(_in_plane(points[:, (corner + 1) % 3] - points[:, corner], normal))
        behind = _unit(_in_plane(points[:, (corner + 2) % 3] - points[:, corner], normal))
        angle = np.arccos(np.clip(_dot(ahead, behind), -1.0, 1.0))
        weighted[:, corner] = _unit(_in_plane(along, normal)) * (angle * usable)[:, None]
    flat, count = groups.reshape(-1), int(groups.max()) + 1
    sums = np.stack([np.bincount(flat, weighted[:, :, axis].reshape(-1), count) for axis in range(3)], axis=1)
    tangents = _unit(_in_plane(sums[flat], normals.reshape(-1, 3))).reshape(-1, 3, 3)
    signs = np.where(area > 0, 1.0, -1.0)[:, None, None] * np.any(tangents != 0, axis=2, keepdims=True)
    return np.concatenate([tangents, signs], axis=2).astype(np.float32)


def _triangle_tangents(
    points: Float64[np.ndarray, "F 3 3"], uvs: Float64[np.ndarray, "F 3 2"]
) -> tuple[Float64[np.ndarray, "F 3"], Float64[np.ndarray, " F"]]:
    """Direction of growing u in each triangle (any length) and twice its signed area in texture space."""
    e1, e2 = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
    t1, t2 = uvs[:, 1] - uvs[:, 0], uvs[:, 2] - uvs[:, 0]
    area = t1[:, 0] * t2[:, 1] - t1[:, 1] * t2[:, 0]
    along = e1 * t2[:, 1:] - e2 * t1[:, 1:]
    return along * np.where(area > 0, 1.0, -1.0)[:, None], area


def _groups(triangles: TriangleMesh, preserving: np.ndarray) -> Int[np.ndarray, "F 3"]:
    """A number for every corner, the same where place, normal, texture coordinates and handedness are the same."""
    count = len(triangles.faces)
    _, places = unique_rows(triangles.positions)
    columns = np.concatenate(
        [
            places.reshape(-1)[triangles.faces].reshape(count, 3, 1).astype(np.float64),
            triangles.corner_normals,
            triangles.corner_uvs,
            np.broadcast_to(preserving[:, None, None], (count, 3, 1)),
        ],
        axis=2,
    ).reshape(-1, 7)
    _, numbers = unique_rows(columns)
    return numbers.reshape(count, 3)


def _in_plane(vectors: np.ndarray, normals: np.ndarray) -> np.ndarray:
    return vectors - normals * _dot(vectors, normals)[..., None]


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sums over the last axis, of three. numpy's own sum adds in the same order, and is several times as slow on an
    axis that is so short."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors at unit length; those without a length stay 0."""
    lengths = np.sqrt(_dot(vectors, vectors))[..., None]
    return np.where(lengths > 1e-30, vectors / np.maximum(lengths, 1e-30), 0.0)
