# SPDX-License-Identifier: GPL-3.0-or-later
"""New UV Map, Texture Anyway, Texel Density: what the panel offers where UVs cannot carry a texture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import bpy
import numpy as np
import numpy.typing as npt

from ..scene.meshes.new_uvs import Filling, add_uv_map
from ..scene.meshes.uv_reading import UvArrays, read_uv_arrays, read_uvs, write_uvs
from ..scene.ownership import check_unwrappable
from ..session import event_pump
from ..session.uv_checks import checks, textured_map
from ..uv_measure import UvRemedy, density_picture, measure_uvs
from .poll import passes_unless
from .versions.action import run_on_versions

__all__ = ["CLASSES", "poll_unwrap"]

_MARGIN = 0.02
_PICTURE = "PGC Texel Density"
_PICTURE_SIZE = 1024


class PGC_OT_unwrap(bpy.types.Operator):
    """Add a new UV map to the active object, by Blender's Smart UV Project. UV maps that it has are kept. Where only
    some faces have no UVs, the others keep theirs in the new map"""

    bl_idname = "pgc.unwrap"
    bl_label = "New UV Map"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_unwrap(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: self._unwrap(context))

    def _unwrap(self, context: bpy.types.Context) -> None:
        check_unwrappable(context.object)
        mesh, before = context.object.data, textured_map(context.object)
        check = checks().look(context.object)
        partial = check is not None and check.judgement.remedy is UvRemedy.FILL
        arrays = read_uv_arrays(mesh, before) if partial else None
        name = add_uv_map(mesh)
        if arrays is not None and _fill(context, mesh, arrays, name):
            self.report({"INFO"}, "Faces without UVs got some; all others keep theirs.")
        else:
            _project(context, mesh, np.ones(len(mesh.polygons), np.bool_))
        if context.scene.pgc.uv_map:
            context.scene.pgc.uv_map = name
        checks().forget(context.object)
        event_pump.show_problem(None)


def poll_unwrap(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """Says, for a poll, whether the active object is a mesh that can be unwrapped now."""
    obj = context.object
    return passes_unless(
        cls, obj is None or obj.type != "MESH" or obj.mode != "OBJECT", "Select a mesh object, in Object Mode"
    )


@contextmanager
def _alone(context: bpy.types.Context, mesh: bpy.types.Mesh) -> Iterator[None]:
    """A plain object of this mesh is the only one selected, for a while.

    Edit Mode is no way for the artist's own object: an override cannot enter it, and all that are selected beside it
    enter it too, so that their UVs would be made anew.
    """
    objects = context.view_layer.objects
    active, selected = objects.active, [obj for obj in objects if obj.select_get()]
    stand_in = bpy.data.objects.new("PGC New UV Map", mesh)
    context.scene.collection.objects.link(stand_in)
    try:
        for obj in selected:
            obj.select_set(False)
        stand_in.select_set(True)
        objects.active = stand_in
        yield
    finally:
        bpy.data.objects.remove(stand_in)
        objects.active = active
        for obj in selected:
            obj.select_set(True)


def _project(context: bpy.types.Context, mesh: bpy.types.Mesh, chosen: npt.NDArray[np.bool_]) -> None:
    """Smart UV Project of some polygons in the active UV map; what was selected is so again."""
    selection = np.empty(len(mesh.polygons), np.bool_)
    hidden = np.empty(len(mesh.polygons), np.bool_)
    mesh.polygons.foreach_get("select", selection)
    mesh.polygons.foreach_get("hide", hidden)
    with _alone(context, mesh):
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.mesh.reveal(select=False)
        bpy.ops.mesh.select_all(action="DESELECT")
        bpy.ops.object.mode_set(mode="OBJECT")
        mesh.polygons.foreach_set("select", chosen)
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.uv.smart_project(island_margin=_MARGIN)
        bpy.ops.object.mode_set(mode="OBJECT")
    mesh.polygons.foreach_set("select", selection)
    mesh.polygons.foreach_set("hide", hidden)


def _fill(context: bpy.types.Context, mesh: bpy.types.Mesh, arrays: UvArrays, name: str) -> bool:
    """UVs for the faces that have none, in the free room of the others' layout; False where there is no room."""
    filling = Filling(mesh, arrays)
    _project(context, mesh, filling.chosen)
    placed = filling.placed(read_uvs(mesh, name))
    if placed is not None:
        write_uvs(mesh, name, placed)
    return placed is not None


class PGC_OT_texture_anyway(bpy.types.Operator):
    """Texture these UVs although some places share their texels or have none: they will look the same, or plain"""

    bl_idname = "pgc.texture_anyway"
    bl_label = "Texture Anyway"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bpy.ops.pgc.generate.poll()

    def execute(self, context: bpy.types.Context) -> set[str]:
        from ..session.readiness import textured

        for obj in textured(context):
            checks().accept(obj)
        return bpy.ops.pgc.generate()


class PGC_OT_show_texel_density(bpy.types.Operator):
    """Show the UV map as a picture: gray is the median density, green finer, blue coarser; yellow texels serve
    mirrored or stacked parts, red ones places that should differ"""

    bl_idname = "pgc.show_texel_density"
    bl_label = "Texel Density"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        obj = context.object
        return passes_unless(
            cls,
            obj is None or not textured_map(obj) or obj.mode == "EDIT",
            "Select a mesh object with a UV map, not in Edit Mode",
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        arrays = read_uv_arrays(context.object.data, textured_map(context.object))
        measure, faces = measure_uvs(
            arrays.positions, arrays.faces, arrays.corner_uvs, arrays.without, material=arrays.materials
        )
        picture = density_picture(arrays.corner_uvs, faces, measure.density_median, _PICTURE_SIZE)
        _show(context, _image(picture))
        return {"FINISHED"}


def _image(picture: npt.NDArray[np.uint8]) -> bpy.types.Image:
    image = bpy.data.images.get(_PICTURE)
    if image is None:
        image = bpy.data.images.new(_PICTURE, _PICTURE_SIZE, _PICTURE_SIZE)
    pixels = np.ones((_PICTURE_SIZE, _PICTURE_SIZE, 4), np.float32)
    pixels[..., :3] = picture[::-1] / np.float32(255.0)
    image.pixels.foreach_set(pixels.reshape(-1))
    image.update()
    return image


def _show(context: bpy.types.Context, image: bpy.types.Image) -> None:
    """In an image editor that is open, or in a window of its own."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "IMAGE_EDITOR":
                area.spaces.active.image = image
                return
    if bpy.app.background:
        return
    bpy.ops.wm.window_new()
    area = context.window_manager.windows[-1].screen.areas[0]
    area.type = "IMAGE_EDITOR"
    area.spaces.active.image = image


CLASSES = (PGC_OT_unwrap, PGC_OT_texture_anyway, PGC_OT_show_texel_density)
