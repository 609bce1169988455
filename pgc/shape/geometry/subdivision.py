# SPDX-License-Identifier: Apache-2.0
"""A blockout with more triangles, for detail to stand on: each triangle becomes four, in the same place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from pgc.mesh.data import Mesh
from pgc.mesh.triangulation import triangle_corners

__all__ = ["subdivided"]

_CHILDREN = np.array([[0, 3, 5], [3, 1, 4], [5, 4, 2], [3, 4, 5]])
"""Corners 0, 1, 2 and the middles of the edges 0-1, 1-2, 2-0."""


def subdivided(mesh: Mesh, times: int) -> Mesh:
    """Returns a mesh of triangles, 4^times for each of the given one's; UVs, materials and parts go along.

    Vertex normals, vertex colours and further UV sets do not: they would be those of the old shape.
    """
    corners, polygon = triangle_corners(mesh)
    places, faces = mesh.positions, mesh.corner_positions[corners].astype(np.int64)
    uvs = mesh.uvs if mesh.has_uvs else None
    uv_faces = mesh.corner_uvs[corners].astype(np.int64) if uvs is not None and mesh.corner_uvs is not None else None
    for _ in range(times):
        places, faces = _split(places, faces)
        if uvs is not None and uv_faces is not None:
            uvs, uv_faces = _split(uvs, uv_faces)
    polygon = np.repeat(polygon, 4**times)
    return replace(
        mesh,
        positions=places,
        polygon_sizes=np.full(len(faces), 3, dtype=np.int32),
        corner_positions=faces.reshape(-1).astype(np.int32),
        uvs=None if uvs is None else uvs.astype(np.float32),
        corner_uvs=None if uv_faces is None else uv_faces.reshape(-1).astype(np.int32),
        normals=None,
        corner_normals=None,
        material_index=mesh.material_index[polygon],
        other_uv_sets=(),
        colors=None,
        corner_colors=None,
        part_index=None if mesh.part_index is None else mesh.part_index[polygon],
    )


def _split(
    pool: Float[np.ndarray, "n c"], faces: Int[np.ndarray, "f 3"]
) -> tuple[Float[np.ndarray, "m c"], Int[np.ndarray, "g 3"]]:
    """Adds the middle of each edge once, and cuts each triangle into four."""
    ends = np.stack([faces, faces[:, [1, 2, 0]]], axis=2).reshape(-1, 2)
    ends.sort(axis=1)
    edges, number = np.unique(ends, axis=0, return_inverse=True)
    middles = (pool[edges[:, 0]] + pool[edges[:, 1]]) / 2
    six = np.concatenate([faces, len(pool) + number.reshape(-1, 3)], axis=1)
    return np.concatenate([pool, middles.astype(pool.dtype)]), six[:, _CHILDREN].reshape(-1, 3)
