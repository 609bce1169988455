# SPDX-License-Identifier: GPL-3.0-or-later
"""Show Original Material."""

from typing import ClassVar

import bpy

from ...scene.versions.showing import restore_original
from ..poll import passes_unless
from .action import run_on_versions

__all__ = ["PGC_OT_restore"]


class PGC_OT_restore(bpy.types.Operator):
    """Put back the materials that the object had without its versions. They stay in the list"""

    bl_idname = "pgc.restore"
    bl_label = "Show Original Material"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        obj = context.object
        return passes_unless(cls, obj is None or not obj.pgc.layers, "The object shows its own materials")

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: restore_original(context.object))
