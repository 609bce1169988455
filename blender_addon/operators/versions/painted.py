# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do with a version that a brush changes, or has changed."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import IntProperty

from ...scene.painting.painted_versions import keep_painted
from ...scene.versions.showing import apply_version_index
from .action import INDEX, OnVersions, chosen_version, run_on_versions

__all__ = ["CLASSES"]


class PGC_OT_paint_on_copy(OnVersions, bpy.types.Operator):
    """Make a new version that takes the strokes, those already made too, and is shown; the old one is as it was made"""

    bl_idname = "pgc.paint_on_copy"
    bl_label = "Paint on a Copy"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    index: IntProperty(name="Version", description=INDEX, default=-1, min=-1, options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: keep_painted(context.object, chosen_version(self, context)))


class PGC_OT_restore_version(OnVersions, bpy.types.Operator):
    """Show the version as it was made. The strokes stay in the list, as a version of their own"""

    bl_idname = "pgc.restore_version"
    bl_label = "Restore"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    index: IntProperty(name="Version", description=INDEX, default=-1, min=-1, options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: self._restore(context))

    def _restore(self, context: bpy.types.Context) -> None:
        index = chosen_version(self, context)
        keep_painted(context.object, index)
        apply_version_index(context.object, index)


CLASSES = (PGC_OT_paint_on_copy, PGC_OT_restore_version)
