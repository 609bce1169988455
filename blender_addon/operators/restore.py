# SPDX-License-Identifier: GPL-3.0-or-later
"""Show Original Material."""

import json
from typing import ClassVar

import bpy

from ..scene.materials import PreviousMaterials, restore_previous

__all__ = ["PGC_OT_restore", "previous_of"]


def previous_of(obj: bpy.types.Object) -> PreviousMaterials:
    """What an object showed before its first version."""
    data = json.loads(obj.pgc.previous)
    faces = data["polygon_materials"]
    return PreviousMaterials(
        slots=tuple((link, name) for link, name in data["slots"]),
        polygon_materials=None if faces is None else tuple(faces),
    )


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
