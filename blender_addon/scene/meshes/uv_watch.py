# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an object's UVs are still those that a version was made for: looked at once after each change of the mesh."""

from __future__ import annotations

import bpy
import numpy as np
import numpy.typing as npt

from ...model.uv_packing import pack_uvs, packed_digest, uv_digest

__all__ = ["UvWatch", "packed_uvs_of", "uv_values"]


def uv_values(mesh: bpy.types.Mesh, uv_map: str) -> npt.NDArray[np.float32] | None:
    """Returns the float32 [L, 2] of a UV map, one row a face corner; None where the mesh has none of that name.

    In Edit Mode these are the values from before, until `update_from_editmode`.
    """
    layer = mesh.uv_layers.get(uv_map)
    if layer is None or len(layer.uv) != len(mesh.loops):
        return None
    values = np.empty(2 * len(mesh.loops), np.float32)
    layer.uv.foreach_get("vector", values)
    return values.reshape(-1, 2)


def packed_uvs_of(obj: bpy.types.Object, uv_map: str) -> str:
    """Returns the UVs as a version keeps them; "" without any."""
    values = uv_values(obj.data, uv_map)
    return "" if values is None else pack_uvs(values)


class UvWatch:
    """Digests of UV maps, by mesh and name. Drawing only reads; `look` computes, on the main thread's turn."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], str] = {}

    def forget(self, mesh_uid: int | None = None) -> None:
        """Forgets what was read of a mesh, since it has changed; None: any may have."""
        self._known = {key: value for key, value in self._known.items() if mesh_uid is not None and key[0] != mesh_uid}

    def look(self, obj: bpy.types.Object | None) -> bool:
        """Looks at what the active object's selected version needs; returns whether there was something new to see."""
        version = _selected(obj)
        if obj is None or version is None or obj.mode == "EDIT":
            return False
        key = (obj.data.session_uid, version.uv_map)
        if not version.uvs or key in self._known:
            return False
        values = uv_values(obj.data, version.uv_map)
        self._known[key] = "" if values is None else uv_digest(values)
        return True

    def changed(self, obj: bpy.types.Object, version: bpy.types.PropertyGroup) -> bool:
        """Says whether the UVs are others than the version's; False where that is not known, or not yet."""
        now = self._known.get((obj.data.session_uid, version.uv_map))
        return now is not None and bool(version.uvs) and now != packed_digest(version.uvs)


def _selected(obj: bpy.types.Object | None) -> bpy.types.PropertyGroup | None:
    if obj is None or obj.type != "MESH" or not 0 <= obj.pgc.active_version < len(obj.pgc.versions):
        return None
    return obj.pgc.versions[obj.pgc.active_version]
