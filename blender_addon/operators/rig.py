# SPDX-License-Identifier: GPL-3.0-or-later
"""A camera rig in the viewport, made to be edited."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import IntProperty

from ..scene.rig_objects import add_rig, remove_rig
from ..session import event_pump
from .poll import passes_unless

__all__ = ["CLASSES"]


class PGC_OT_add_rig(bpy.types.Operator):
    """Add cameras around the active object, in a collection of their own. Move, add and delete them as you like"""

    bl_idname = "pgc.add_rig"
    bl_label = "Add Camera Rig"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    count: IntProperty(name="Cameras", description="How many cameras look at the object", min=1, max=32, default=8)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return passes_unless(cls, context.object is None or context.object.type != "MESH", "Select a mesh object first")

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.pgc.rig = add_rig(context.scene, context.object, self.count)
        context.scene.pgc.cameras = "rig"
        event_pump.show_problem(None)
        return {"FINISHED"}


class PGC_OT_remove_rig(bpy.types.Operator):
    """Remove the rig's collection with its cameras, and look from everywhere again"""

    bl_idname = "pgc.remove_rig"
    bl_label = "Remove Camera Rig"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return passes_unless(cls, context.scene.pgc.rig is None, "There is no camera rig")

    def execute(self, context: bpy.types.Context) -> set[str]:
        remove_rig(context.scene.pgc.rig)
        context.scene.pgc.cameras = "sphere"
        return {"FINISHED"}


CLASSES = (PGC_OT_add_rig, PGC_OT_remove_rig)
