# SPDX-License-Identifier: GPL-3.0-or-later
"""Cancel."""

import bpy

from .. import event_pump

__all__ = ["PGC_OT_cancel"]


class PGC_OT_cancel(bpy.types.Operator):
    """Stop making this texture. The object keeps the material that it has"""

    bl_idname = "pgc.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not context.window_manager.pgc.job:
            cls.poll_message_set("The server has not taken the texture yet")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        event_pump.session().client.cancel(context.window_manager.pgc.job)
        return {"FINISHED"}
