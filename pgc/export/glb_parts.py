# SPDX-License-Identifier: Apache-2.0
"""Which faces of a GLB go into which node and primitive, so that parts and materials keep their names."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from pgc.mesh.data import PreparedMesh

__all__ = ["Part", "parts_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A node to be: its name, and its faces by tile and material."""

    name: str
    faces: dict[tuple[int, int], Int64[np.ndarray, " K"]]


def parts_of(prepared: PreparedMesh) -> list[Part]:
    """Returns the file's parts that have faces, in their order; one of the mesh's own name where it has none."""
    mesh, triangles = prepared.mesh, prepared.triangles
    index = np.zeros(len(mesh.polygon_sizes), np.int32) if mesh.part_index is None else mesh.part_index
    names = mesh.part_names or (mesh.name,)
    part, tile, material = (
        index[triangles.polygon_index].astype(np.int64),
        prepared.face_tiles,
        triangles.material_index,
    )
    keys = (part * (int(tile.max(initial=0)) + 1) + tile) * (int(material.max(initial=0)) + 1) + material
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(group, kind="stable").astype(np.int64)
    found: dict[int, Part] = {}
    for one, faces in zip(first.tolist(), np.split(order, np.cumsum(np.bincount(group))[:-1]), strict=True):
        own = found.setdefault(int(part[one]), Part(names[int(part[one])] or mesh.name, {}))
        own.faces[int(tile[one]), int(material[one])] = faces
    return list(found.values())
