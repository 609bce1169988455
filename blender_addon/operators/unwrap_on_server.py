# SPDX-License-Identifier: GPL-3.0-or-later
"""New UV Map by xatlas, which is on the server. Blender goes on meanwhile; the panel shows how far it is."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ..model.problems import unwrap_problem, xatlas_problem
from ..model.state import Problem, ServerState
from ..protocol.specs.job import NEW_UVS
from ..scene.errors import SceneError
from ..session import event_pump
from ..session.readiness import reason_against_new_uvs
from ..session.submission import objection
from ..session.unwrapping import prepare_unwrap
from .poll import passes_unless
from .unwrap import poll_unwrap

__all__ = ["PGC_OT_unwrap_on_server"]


class PGC_OT_unwrap_on_server(bpy.types.Operator):
    """Have the server make a new UV map of the active object by xatlas, which stretches less and packs closer than
    Smart UV Project. It takes some seconds, or minutes for a large mesh. UV maps that it has are kept"""

    bl_idname = "pgc.unwrap_on_server"
    bl_label = "New UV Map by xatlas"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not poll_unwrap(cls, context):
            return False
        reason = reason_against_new_uvs(context.object, event_pump.current_state())
        return passes_unless(cls, reason, reason)

    def execute(self, context: bpy.types.Context) -> set[str]:
        desk = event_pump.job_desk()
        event_pump.show_problem(None)
        server = desk.state.server
        if server.ready and NEW_UVS not in server.maps:
            return self._refuse(xatlas_problem())
        try:
            order = prepare_unwrap(context.object)
        except SceneError as error:
            return self._refuse(Problem(error.text, error.fix or ""))
        too_large = objection([order], server, unwrap_problem)
        if too_large is not None:
            return self._refuse(too_large)
        if not desk.submit(order.view, order.spec, order.arrays):
            return self._refuse(server.problem or xatlas_problem())
        if server.state is ServerState.ABSENT:
            # One click: a server that is installed comes up by itself.
            bpy.ops.pgc.start_server()
        return {"FINISHED"}

    def _refuse(self, problem: Problem) -> set[str]:
        event_pump.show_problem(problem)
        self.report({"ERROR"}, problem.text)
        return {"CANCELLED"}
