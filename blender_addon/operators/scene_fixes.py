# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes an object one that can be textured: a library override, a real mesh of what it shows."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ..scene.errors import SceneError
from ..scene.meshes.real_mesh import can_become_real, is_collection_instance, make_real_mesh
from ..session import event_pump
from .poll import passes_unless
from .versions.action import run_on_versions

__all__ = ["CLASSES"]


class PGC_OT_make_override(bpy.types.Operator):
    """Make a library override of the active object, so that it can have textures here. Its library stays as it is"""

    bl_idname = "pgc.make_override"
    bl_label = "Make Library Override"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        obj = context.object
        return passes_unless(
            cls,
            obj is None or (obj.is_editable and (obj.override_library is None or _may_edit(obj))),
            "Select an object that is linked from another file",
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: _override(context))


class PGC_OT_make_real(bpy.types.Operator):
    """Make a new mesh object of what the active object shows, with its instances and modifiers applied. The object
    itself is kept, hidden"""

    bl_idname = "pgc.make_real"
    bl_label = "Make Real Mesh"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        obj = context.object
        return passes_unless(
            cls,
            obj is None or obj.mode != "OBJECT" or not (obj.type == "MESH" or can_become_real(obj)),
            "Select an object that shows a surface, in Object Mode",
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: _make_real(context))


def _may_edit(obj: bpy.types.Object) -> bool:
    return not obj.override_library.is_system_override


def _override(context: bpy.types.Context) -> None:
    obj = context.object
    if obj.override_library is not None:
        obj.override_library.is_system_override = False
    else:
        obj.select_set(True)
        if not bpy.ops.object.make_override_library.poll():
            raise SceneError(f"Blender cannot override {obj.name} here; link it into a scene of this file first.")
        try:
            bpy.ops.object.make_override_library()
        except RuntimeError as error:
            raise SceneError(f"Blender cannot override {obj.name}: {_reason(error)}") from error
    event_pump.show_problem(None)


def _make_real(context: bpy.types.Context) -> None:
    obj = context.object
    if is_collection_instance(obj):
        _make_objects_real(context, obj)
    else:
        make_real_mesh(obj, context)
    event_pump.show_problem(None)


def _make_objects_real(context: bpy.types.Context, obj: bpy.types.Object) -> None:
    """The objects of the collection, as Blender's own command makes them; the first mesh among them is active."""
    for other in context.selected_objects:
        other.select_set(False)
    obj.select_set(True)
    name = obj.instance_collection.name
    bpy.ops.object.duplicates_make_real(use_base_parent=True)
    meshes = [other for other in context.selected_objects if other.type == "MESH"]
    if not meshes:
        raise SceneError(f"The collection {name} has no mesh; nothing can be textured.")
    context.view_layer.objects.active = min(meshes, key=lambda other: other.name)
    if len(meshes) > 1:
        context.scene.pgc.target = "objects"


def _reason(error: RuntimeError) -> str:
    return str(error).strip().removeprefix("Error: ").rstrip(".") + "."


CLASSES = (PGC_OT_make_override, PGC_OT_make_real)
