# SPDX-License-Identifier: GPL-3.0-or-later
"""Unwrap."""

from typing import ClassVar

import bpy

from .. import event_pump

__all__ = ["PGC_OT_unwrap"]


class PGC_OT_unwrap(bpy.types.Operator):
    """Add a new UV map to the active object and unwrap it there. UV maps that it has are kept"""

    bl_idname = "pgc.unwrap"
    bl_label = "Unwrap into a New UV Map"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.object is None or context.object.type != "MESH" or context.object.mode != "OBJECT":
            cls.poll_message_set("Select a mesh object, in Object Mode")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        mesh = context.object.data
        mesh.uv_layers.active = mesh.uv_layers.new(name="PGC")
        selection = [polygon.select for polygon in mesh.polygons]
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.mesh.select_all(action="SELECT")
        bpy.ops.uv.smart_project(island_margin=0.02)
        bpy.ops.object.mode_set(mode="OBJECT")
        mesh.polygons.foreach_set("select", selection)
        event_pump.show_problem(None)
        return {"FINISHED"}
