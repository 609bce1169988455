# SPDX-License-Identifier: GPL-3.0-or-later
"""Show Original Material."""

from typing import ClassVar

import bpy

from ..scene.materials import restore_previous
from ..session import previous_of

__all__ = ["PGC_OT_restore"]


class PGC_OT_restore(bpy.types.Operator):
    """Put back the materials that the object had before its first texture. Versions are kept"""

    bl_idname = "pgc.restore"
    bl_label = "Show Original Material"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.object is None or not context.object.pgc.previous:
            cls.poll_message_set("The object shows its own materials")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        restore_previous(context.object, previous_of(context.object))
        context.object.pgc.previous = ""
        context.object.pgc.active_version = -1
        return {"FINISHED"}
