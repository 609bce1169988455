# SPDX-License-Identifier: GPL-3.0-or-later
"""Cancel, and Stop and Keep."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty

from ..model.state import JobView, Phase
from ..session import event_pump
from .poll import passes_unless

__all__ = ["PGC_OT_cancel", "PGC_OT_cancel_all", "PGC_OT_stop_and_keep"]


class PGC_OT_cancel(bpy.types.Operator):
    """Stop making this texture and show the earlier look again. What was made becomes a version in the list"""

    bl_idname = "pgc.cancel"
    bl_label = "Cancel"

    key: StringProperty(name="Job", description="Which one; empty takes the active object's", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return passes_unless(
            cls, not any(_can_cancel(view) for view in event_pump.current_state().live()), "No texture is being made"
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = event_pump.current_state()
        uid = context.object.session_uid if context.object is not None else 0
        view = state.jobs.get(self.key) or state.live_for(uid) or [one for one in state.live() if _can_cancel(one)][-1]
        event_pump.job_desk().cancel(view.key)
        event_pump.redraw()
        return {"FINISHED"}


class PGC_OT_cancel_all(bpy.types.Operator):
    """Cancel every texture that this Blender waits for, of all objects. What was made of them becomes versions; what is
    finished stays"""

    bl_idname = "pgc.cancel_all"
    bl_label = "Cancel All"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        unfinished = any(_unfinished(view) for view in event_pump.current_state().live())
        return passes_unless(cls, not unfinished, "No texture is being made")

    def execute(self, context: bpy.types.Context) -> set[str]:
        desk = event_pump.job_desk()
        # The last first, so that none of those that wait begins.
        for view in reversed([view for view in desk.state.live() if _unfinished(view)]):
            desk.cancel(view.key)
        event_pump.redraw()
        return {"FINISHED"}


class PGC_OT_stop_and_keep(bpy.types.Operator):
    """Stop making this texture and put what was made so far on the object, as a version"""

    bl_idname = "pgc.stop_and_keep"
    bl_label = "Stop and Keep"

    key: StringProperty(name="Job", description="Which one; empty takes the active object's", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return passes_unless(
            cls,
            not any(view.stoppable for view in event_pump.current_state().live()),
            "No texture has taken a step yet",
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = event_pump.current_state()
        uid = context.object.session_uid if context.object is not None else 0
        mine = [one for one in state.all_live_for(uid) if one.stoppable]
        view = state.jobs.get(self.key) or (mine or [one for one in state.live() if one.stoppable][-1:])[0]
        event_pump.job_desk().stop_and_keep(view.key)
        event_pump.redraw()
        return {"FINISHED"}


def _unfinished(view: JobView) -> bool:
    return _can_cancel(view) and view.phase is not Phase.HELD


def _can_cancel(view: JobView) -> bool:
    return not view.cancelling and view.phase is not Phase.APPLYING
