# SPDX-License-Identifier: GPL-3.0-or-later
"""Results that wait, and looking at them."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import StringProperty

from ...model.state import Phase
from ...session import event_pump
from ..poll import passes_unless

__all__ = ["CLASSES"]


class PGC_OT_apply_to_active(bpy.types.Operator):
    """Put a finished texture whose object is gone onto the active object. It fits where the UVs are the same"""

    bl_idname = "pgc.apply_to_active"
    bl_label = "Apply to Active Object"

    key: StringProperty(name="Job", description="Which one; empty takes the newest that waits", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return passes_unless(cls, context.object is None or context.object.type != "MESH", "Select a mesh object first")

    def execute(self, context: bpy.types.Context) -> set[str]:
        held = [view for view in event_pump.current_state().jobs.values() if view.phase is Phase.HELD]
        view = next((view for view in held if view.key == self.key), held[-1] if held else None)
        if view is None:
            self.report({"INFO"}, "No texture waits")
            return {"CANCELLED"}
        event_pump.job_desk().retarget(view.key, context.object)
        return {"FINISHED"}


class PGC_OT_show_material_preview(bpy.types.Operator):
    """Switch this 3D view from Solid to Material Preview, where textures show"""

    bl_idname = "pgc.show_material_preview"
    bl_label = "Show in Material Preview"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return passes_unless(cls, _space(context) is None, "No 3D view is open")

    def execute(self, context: bpy.types.Context) -> set[str]:
        _space(context).shading.type = "MATERIAL"
        return {"FINISHED"}


class PGC_OT_dismiss(bpy.types.Operator):
    """Take this message away"""

    bl_idname = "pgc.dismiss"
    bl_label = "Dismiss"

    key: StringProperty(name="Job", description="The job whose message it is", options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        view = event_pump.current_state().jobs.get(self.key)
        if view is not None:
            view.problem = None
        event_pump.show_problem(None)
        return {"FINISHED"}


def _space(context: bpy.types.Context) -> bpy.types.Space | None:
    """The 3D view of the click, or the first of the window."""
    if context.area is not None and context.area.type == "VIEW_3D":
        return context.space_data
    areas = [area for area in context.screen.areas if area.type == "VIEW_3D"] if context.screen is not None else []
    return areas[0].spaces.active if areas else None


CLASSES = (PGC_OT_apply_to_active, PGC_OT_show_material_preview, PGC_OT_dismiss)
