# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch a result from the server once more."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import StringProperty

from ...model.recent_results import named_shape
from ...scene.versions.showing import apply_version_index
from ...session import event_pump
from ..poll import passes_unless
from .action import run_on_versions

__all__ = ["CLASSES", "NO_OBJECT"]

NO_OBJECT = "A texture needs an object: select a mesh object that belongs to this file"


class PGC_OT_fetch_result(bpy.types.Operator):
    """Fetch this result from the server again. A texture goes onto the active object, and fits where the UVs are the
    same; a new shape becomes an object of its own"""

    bl_idname = "pgc.fetch_result"
    bl_label = "Fetch Result"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    job: StringProperty(name="Job", description="The server's name for it", options={"SKIP_SAVE"})
    key: StringProperty(name="Key", description="The client's name for it", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return passes_unless(cls, not event_pump.current_state().server.ready, "The server is not there")

    def execute(self, context: bpy.types.Context) -> set[str]:
        obj = context.object
        takes = obj is not None and obj.type == "MESH" and obj.is_editable
        if named_shape(event_pump.current_state(), self.job) is not None:
            event_pump.job_desk().fetch(self.key, self.job, obj if takes else None)
            event_pump.redraw()
            return {"FINISHED"}
        if not takes:
            self.report({"ERROR"}, NO_OBJECT)
            return {"CANCELLED"}
        jobs = [version.job for version in obj.pgc.versions]
        if self.job in jobs:
            return run_on_versions(self, lambda: apply_version_index(obj, jobs.index(self.job)))
        event_pump.job_desk().fetch(self.key, self.job, obj)
        event_pump.redraw()
        return {"FINISHED"}


CLASSES = (PGC_OT_fetch_result,)
