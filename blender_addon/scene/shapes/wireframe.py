# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of a moment as a wireframe beside its object: an object of ours, which goes when the run does."""

from __future__ import annotations

from collections.abc import Callable

import bpy
import numpy as np
from mathutils import Matrix

from ...protocol.meshes import PreviewMesh
from .refined import place_at_cursor, place_beside

__all__ = ["remove_wireframes", "show_wireframe"]

_NAME, _KEY = "PGC Shape Preview", "pgc_shape_preview"


def show_wireframe(obj: bpy.types.Object | None, key: str, preview: PreviewMesh) -> None:
    """Shows a shape of a moment; the first time beside its object, or at the 3D cursor where it has none, afterwards
    where it is.

    Args:
        key: of the job.
    """
    shown = next((one for one in bpy.data.objects if one.get(_KEY) == key), None)
    if shown is None:
        shown = bpy.data.objects.new(_NAME, bpy.data.meshes.new(_NAME))
        shown[_KEY] = key
        placed = place_at_cursor(preview.positions) if obj is None else place_beside(obj)
        # Its vertices are in the world's axes, as they came: an object's matrix has no shear, as its parents' may.
        shown.matrix_world = Matrix.Translation(placed.translation)
        shown.display_type = "WIRE"
        shown.hide_render = shown.hide_select = True
        bpy.context.scene.collection.objects.link(shown)
    mesh, places, faces = shown.data, preview.positions, preview.faces.reshape(-1)
    known = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", known)
    if len(mesh.vertices) == len(places) and np.array_equal(known, faces):
        mesh.vertices.foreach_set("co", places.reshape(-1))
        mesh.update()
        return
    mesh.clear_geometry()
    mesh.vertices.add(len(places))
    mesh.vertices.foreach_set("co", places.reshape(-1))
    mesh.loops.add(len(faces))
    mesh.loops.foreach_set("vertex_index", faces)
    mesh.polygons.add(len(faces) // 3)
    mesh.polygons.foreach_set("loop_start", np.arange(0, len(faces), 3, dtype=np.int32))
    mesh.update(calc_edges=True)


def remove_wireframes(wanted: Callable[[str], bool] = lambda key: False) -> None:
    """Removes all shapes of a moment, but those of jobs that are wanted: an undo or a file may bring back others."""
    for shown in [one for one in bpy.data.objects if one.get(_KEY) is not None and not wanted(one[_KEY])]:
        mesh = shown.data
        bpy.data.objects.remove(shown)
        if mesh is not None and mesh.users == 0:
            bpy.data.meshes.remove(mesh)
