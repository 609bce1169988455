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
    keys = np.stack([index[triangles.polygon_index], prepared.face_tiles, triangles.material_index], axis=1)
    groups, group = np.unique(keys.astype(np.int64), axis=0, return_inverse=True)
    order = np.argsort(group.reshape(-1), kind="stable")
    starts = np.searchsorted(group.reshape(-1)[order], np.arange(1, len(groups)))
    found: dict[int, Part] = {}
    for (part, tile, material), faces in zip(groups.tolist(), np.split(order, starts), strict=True):
        found.setdefault(part, Part(names[part] or mesh.name, {})).faces[tile, material] = faces.astype(np.int64)
    return list(found.values())
