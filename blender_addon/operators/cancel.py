# SPDX-License-Identifier: GPL-3.0-or-later
"""Cancel."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty

from .. import event_pump
from ..state import JobView, Phase

__all__ = ["PGC_OT_cancel"]


class PGC_OT_cancel(bpy.types.Operator):
    """Stop making this texture. The object shows its earlier material again; what was made is kept as a version"""

    bl_idname = "pgc.cancel"
    bl_label = "Cancel"

    key: StringProperty(name="Job", description="Which one; empty takes the active object's", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not any(_can_cancel(view) for view in event_pump.current_state().live()):
            cls.poll_message_set("No texture is being made")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = event_pump.current_state()
        uid = context.object.session_uid if context.object is not None else 0
        view = state.jobs.get(self.key) or state.live_for(uid) or state.live()[-1]
        event_pump.session().cancel(view.key)
        event_pump.redraw()
        return {"FINISHED"}


def _can_cancel(view: JobView) -> bool:
    return not view.cancelling and view.phase is not Phase.APPLYING
