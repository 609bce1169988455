# SPDX-License-Identifier: GPL-3.0-or-later
"""Start Server."""

from __future__ import annotations

import bpy

from ...client import ServerStarter
from ...local_server.program import server_data, server_python
from ...model.problems import not_installed_problem
from ...model.state import ServerState
from ...session import event_pump
from ..poll import passes_unless

__all__ = ["PGC_OT_start_server"]

_BEHIND_BLENDER = {"PGC_SERVER_LOW_PRIORITY": "1"}
"""As --low-priority, which an older server would refuse to start with."""


class PGC_OT_start_server(bpy.types.Operator):
    """Start the texture server on this computer. It must have been installed here"""

    bl_idname = "pgc.start_server"
    bl_label = "Start Server"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return passes_unless(
            cls, event_pump.current_state().server.state is ServerState.STARTING, "The server is coming up"
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        desk = event_pump.job_desk()
        python = server_python()
        if python is None:
            desk.state.server.problem = not_installed_problem()
            desk.state.server.state = ServerState.ABSENT
            desk.state.changed()
            event_pump.redraw()
            return {"CANCELLED"}
        try:
            desk.start_server(ServerStarter(python, server_data(), variables=_BEHIND_BLENDER))
        except OSError as error:
            text = f"The server could not be started ({error.strerror or error}); choose its Python in the preferences."
            self.report({"ERROR"}, text)
            desk.state.server.problem = not_installed_problem()
            desk.state.changed()
            return {"CANCELLED"}
        event_pump.redraw()
        return {"FINISHED"}
