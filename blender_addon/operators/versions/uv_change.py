# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do with a version whose UVs have changed since it was made."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import IntProperty

from ...scene.versions.uv_transfer import transfer_version
from ...session import event_pump
from ..poll import passes_unless
from .action import INDEX, chosen_version, has_version, run_on_versions

__all__ = ["CLASSES"]


class PGC_OT_transfer_uvs(bpy.types.Operator):
    """Make a new version of this texture for the UVs that the object has now. Blender waits meanwhile"""

    bl_idname = "pgc.transfer_uvs"
    bl_label = "Transfer to the New UVs"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    index: IntProperty(name="Version", description=INDEX, default=-1, min=-1, options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_version(cls, context) and passes_unless(
            cls, context.object.mode != "OBJECT", "Go to Object Mode first"
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: self._transfer(context))

    def _transfer(self, context: bpy.types.Context) -> None:
        manager = context.window_manager
        manager.progress_begin(0.0, 1.0)
        try:
            transfer_version(context, context.object, chosen_version(self, context), manager.progress_update)
            last = event_pump.current_state().latest_for(context.object.session_uid)
            if last is not None and not last.live:
                # What was said of its UVs is mended.
                last.warning = ""
        finally:
            manager.progress_end()


CLASSES = (PGC_OT_transfer_uvs,)
