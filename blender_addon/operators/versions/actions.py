# SPDX-License-Identifier: GPL-3.0-or-later
"""Show, compare, rename and remove versions."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import IntProperty, StringProperty

from ...scene.versions.showing import apply_version_index, compare_versions, remove_version
from ...session import event_pump
from ..poll import passes_unless
from .action import INDEX, OnVersions, chosen_version, has_version, run_on_versions

__all__ = ["CLASSES"]


class PGC_OT_version_apply(OnVersions, bpy.types.Operator):
    """Show this version on the object. What it does not cover stays as it is"""

    bl_idname = "pgc.version_apply"
    bl_label = "Show Version"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    index: IntProperty(name="Version", description=INDEX, default=-1, min=-1, options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: apply_version_index(context.object, chosen_version(self, context)))


class PGC_OT_version_compare(bpy.types.Operator):
    """Go back and forth between what is shown and what was shown before it, the original materials included"""

    bl_idname = "pgc.version_compare"
    bl_label = "Compare A/B"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO_GROUPED"}
    bl_undo_group = "pgc.version_compare"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_version(cls, context) and passes_unless(
            cls,
            context.object.pgc.layers == context.object.pgc.compared,
            "Show a version first, to compare it with what was there before",
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: compare_versions(context.object))


class PGC_OT_version_rename(OnVersions, bpy.types.Operator):
    """Give this version another name. In the list, double-click the name"""

    bl_idname = "pgc.version_rename"
    bl_label = "Rename Version"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    index: IntProperty(name="Version", description=INDEX, default=-1, min=-1, options={"SKIP_SAVE", "HIDDEN"})
    name: StringProperty(name="Name", description="The new name", options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        versions, index = context.object.pgc.versions, self.index
        index = index if index >= 0 else context.object.pgc.active_version
        self.name = versions[index].name if 0 <= index < len(versions) else ""
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: self._rename(context))

    def _rename(self, context: bpy.types.Context) -> None:
        version = context.object.pgc.versions[chosen_version(self, context)]
        version.name = self.name.strip() or version.prompt[:48] or context.object.name


class PGC_OT_version_remove(OnVersions, bpy.types.Operator):
    """Remove this version with its pictures. If it is shown, what was there before shows again"""

    bl_idname = "pgc.version_remove"
    bl_label = "Remove Version"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    index: IntProperty(name="Version", description=INDEX, default=-1, min=-1, options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: remove_version(context.object, chosen_version(self, context)))


class PGC_OT_make_single_user(bpy.types.Operator):
    """Give the object a copy of its mesh, so that its faces and slots can change without changing other objects"""

    bl_idname = "pgc.make_single_user"
    bl_label = "Make Mesh Single-User"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        obj = context.object
        return passes_unless(
            cls,
            obj is None or obj.type != "MESH" or not obj.is_editable or obj.mode != "OBJECT",
            "Select a mesh object that belongs to this file, in Object Mode",
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        mesh = context.object.data.copy()
        if mesh.override_library is not None:
            # The copy of an override is one too, and its faces would not be saved.
            mesh.make_local()
        context.object.data = mesh
        event_pump.show_problem(None)
        return {"FINISHED"}


CLASSES = (
    PGC_OT_version_apply,
    PGC_OT_version_compare,
    PGC_OT_version_rename,
    PGC_OT_version_remove,
    PGC_OT_make_single_user,
)
