# SPDX-License-Identifier: GPL-3.0-or-later
"""What a version looks like on its object, as a small picture for the list."""

from __future__ import annotations

import bpy
import numpy as np
import numpy.typing as npt

from ..errors import SceneError
from ..meshes.face_sets import unpack_faces
from ..meshes.uv_reading import UvArrays, read_uv_arrays
from ..pictures.portrait import PortraitMesh, draw_portrait

__all__ = ["portrait"]

_MOST_POLYGONS = 200_000
"""Reading more of them would hold up the artist."""


def portrait(
    obj: bpy.types.Object, version: bpy.types.PropertyGroup, pixels: npt.NDArray[np.uint8] | None
) -> npt.NDArray[np.uint8] | None:
    """Returns the object with a version's base color on the faces that it is for, uint8 [128, 128, 3], sRGB.

    None where there is no such picture: the mesh is being edited or is too large, the texture has several UV tiles, or
    there was no preview.

    Args:
        pixels: uint8 [H, W, C], sRGB, row 0 at the top: the last preview of the base color.
    """
    mesh = obj.data
    if pixels is None or obj.mode == "EDIT" or not 0 < len(mesh.polygons) <= _MOST_POLYGONS:
        return None
    if version.uv_map not in mesh.uv_layers:
        return None
    if any(entry.image is not None and entry.image.source == "TILED" for entry in version.maps):
        return None
    arrays = read_uv_arrays(mesh, version.uv_map)
    textured = _textured(mesh, version, arrays)
    if textured is None or not len(arrays.faces):
        return None
    turned = arrays.positions @ np.array(obj.matrix_world, np.float32)[:3, :3].T
    return draw_portrait(PortraitMesh(turned[arrays.faces], arrays.corner_uvs, textured), pixels)


def _textured(mesh: bpy.types.Mesh, version: bpy.types.PropertyGroup, arrays: UvArrays) -> npt.NDArray[np.bool_] | None:
    """Which triangles the version is for; None where the mesh is another one by now."""
    count = len(mesh.polygons)
    if version.target == "selected_faces":
        try:
            return unpack_faces(version.faces, count)[arrays.polygons]
        except SceneError:
            return None
    if version.target == "slot":
        slots = np.empty(count, np.int32)
        mesh.polygons.foreach_get("material_index", slots)
        return (slots == version.slot)[arrays.polygons]
    return np.ones(len(arrays.faces), np.bool_)
