# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh's own triangles and UVs as arrays, and UVs put back. Modifiers are no matter here: they copy UVs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

__all__ = ["UvArrays", "read_uv_arrays", "read_uvs", "write_uvs"]


@dataclass(frozen=True, eq=False)
class UvArrays:
    """The arrays of one mesh and one UV map.

    Args:
        positions: float32 [V, 3]; faces: int32 [F, 3]; loops: int32 [F, 3], the corners in the mesh.
        polygons: int32 [F]; uvs: float32 [L, 2] by corner.
        without: bool [F], where all three corners lie in the very origin: what importers give faces without UVs.
        materials: int32 [F], a number for each material, whichever slots it is in.
    """

    positions: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]
    loops: npt.NDArray[np.int32]
    polygons: npt.NDArray[np.int32]
    uvs: npt.NDArray[np.float32]
    without: npt.NDArray[np.bool_]
    materials: npt.NDArray[np.int32]

    @property
    def corner_uvs(self) -> npt.NDArray[np.float32]:
        """The UVs of each triangle's corners, [F, 3, 2]."""
        return self.uvs[self.loops]


def read_uv_arrays(mesh: bpy.types.Mesh, layer: str) -> UvArrays:
    """Reads a mesh and its UVs as they are outside Edit Mode. UVs that are no numbers, and all where there is no such
    map, count as the origin.
    """
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    faces = _get(mesh.loop_triangles, "vertices", count * 3, np.int32).reshape(count, 3)
    loops = _get(mesh.loop_triangles, "loops", count * 3, np.int32).reshape(count, 3)
    uvs = read_uvs(mesh, layer)
    polygons = _get(mesh.loop_triangles, "polygon_index", count, np.int32)
    return UvArrays(
        positions=_get(mesh.vertices, "co", len(mesh.vertices) * 3, np.float32).reshape(-1, 3),
        faces=faces,
        loops=loops,
        polygons=polygons,
        uvs=uvs,
        without=(uvs[loops] == 0.0).all(axis=(1, 2)),
        materials=_materials(mesh)[polygons],
    )


def _materials(mesh: bpy.types.Mesh) -> npt.NDArray[np.int32]:
    """A number for the material of each polygon [P]. Slots past the last one show the last one's, as Blender does."""
    slots = list(mesh.materials)
    if len(slots) < 2:
        return np.zeros(len(mesh.polygons), np.int32)
    first = np.array([slots.index(material) for material in slots], np.int32)
    index = _get(mesh.polygons, "material_index", len(mesh.polygons), np.int32)
    return first[np.clip(index, 0, len(slots) - 1)]


def read_uvs(mesh: bpy.types.Mesh, layer: str) -> npt.NDArray[np.float32]:
    """Reads a UV map, [L, 2]; zeros where there is no such map."""
    if layer not in mesh.uv_layers:
        return np.zeros((len(mesh.loops), 2), np.float32)
    values = _get(mesh.uv_layers[layer].uv, "vector", len(mesh.loops) * 2, np.float32).reshape(-1, 2)
    return np.where(np.isfinite(values), values, np.float32(0.0))


def write_uvs(mesh: bpy.types.Mesh, layer: str, uvs: npt.NDArray[np.float32]) -> None:
    """Writes [L, 2] into a UV map."""
    mesh.uv_layers[layer].uv.foreach_set("vector", np.ascontiguousarray(uvs, dtype=np.float32).reshape(-1))


def _get(collection: Any, name: str, size: int, dtype: type[np.generic]) -> npt.NDArray[Any]:  # noqa: ANN401
    values = np.empty(size, dtype=dtype)
    collection.foreach_get(name, values)
    return values
