# SPDX-License-Identifier: GPL-3.0-or-later
"""What a version looks like on its object, as a small picture for the list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import bpy
import numpy as np
import numpy.typing as npt

from ..errors import SceneError
from ..meshes.face_sets import unpack_faces
from ..meshes.uv_reading import UvArrays, read_uv_arrays
from ..pictures.portrait import PortraitMesh, draw_portrait

__all__ = ["Look", "Place", "portrait"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How large a picture is, and of how large a mesh one is drawn: more polygons would hold up the artist.

    Args:
        side: pixels. most_polygons: half a second for 200,000, 30 ms for 10,000.
    """

    side: int = 128
    most_polygons: int = 200_000


class Place(Protocol):
    """Where a texture goes: a version and a request both say it."""

    @property
    def uv_map(self) -> str:
        """Names the UV map."""
        ...

    @property
    def target(self) -> str:
        """Says whether it is for all faces, a slot or chosen faces."""
        ...

    @property
    def slot(self) -> int:
        """Gives the slot's index."""
        ...

    @property
    def faces(self) -> str:
        """Gives the chosen faces, packed."""
        ...


def portrait(
    obj: bpy.types.Object,
    place: Place,
    pixels: npt.NDArray[np.uint8] | None,
    look: Look = Look(),
) -> npt.NDArray[np.uint8] | None:
    """Returns the object with a base color on the faces that it is for, uint8 [side, side, 3], sRGB.

    None where there is no such picture: it is no mesh any more, the mesh is being edited (by another object that shares
    it, too) or is too large, or there was no preview.

    Args:
        pixels: uint8 [H, W, C], sRGB, row 0 at the top: the last preview of the base color, of the first UV tile.
    """
    mesh = obj.data
    if pixels is None or obj.type != "MESH" or mesh.is_editmode or not 0 < len(mesh.polygons) <= look.most_polygons:
        return None
    if place.uv_map not in mesh.uv_layers:
        return None
    arrays = read_uv_arrays(mesh, place.uv_map)
    textured = _textured(mesh, place, arrays)
    if textured is None or not len(arrays.faces):
        return None
    turned = arrays.positions @ np.array(obj.matrix_world, np.float32)[:3, :3].T
    return draw_portrait(PortraitMesh(turned[arrays.faces], arrays.corner_uvs, textured), pixels, look.side)


def _textured(mesh: bpy.types.Mesh, place: Place, arrays: UvArrays) -> npt.NDArray[np.bool_] | None:
    """Which triangles the texture is for; None where the mesh is another one by now."""
    count = len(mesh.polygons)
    if place.target == "selected_faces":
        try:
            return unpack_faces(place.faces, count)[arrays.polygons]
        except SceneError:
            return None
    if place.target == "slot":
        slots = np.empty(count, np.int32)
        mesh.polygons.foreach_get("material_index", slots)
        return (slots == place.slot)[arrays.polygons]
    return np.ones(len(arrays.faces), np.bool_)
