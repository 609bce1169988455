# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy Report."""

from typing import ClassVar

import bpy
from bpy.props import StringProperty

from ..protocol.version import PROTOCOL_MAJOR, PROTOCOL_MINOR

__all__ = ["PGC_OT_copy_report"]


class PGC_OT_copy_report(bpy.types.Operator):
    """Copy what went wrong, with Blender's version, so that it can be sent to the authors of the extension"""

    bl_idname = "pgc.copy_report"
    bl_label = "Copy Report"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    text: StringProperty(name="Report", description="What went wrong", options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        versions = f"Blender {bpy.app.version_string}, PGC Texture protocol {PROTOCOL_MAJOR}.{PROTOCOL_MINOR}"
        context.window_manager.clipboard = f"{versions}\n{self.text}"
        self.report({"INFO"}, "Copied")
        return {"FINISHED"}
