# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop Server."""

import bpy

from ...local_server import tasks as server_tasks
from ...local_server.program import server_data, server_python
from ...server_install.server_commands import ServerCommand
from .server_task import OneServerTask

__all__ = ["PGC_OT_stop_server"]


class PGC_OT_stop_server(OneServerTask, bpy.types.Operator):
    """Stop the server on this computer. Textures under way are kept, and go on when it is started again"""

    bl_idname = "pgc.stop_server"
    bl_label = "Stop Server"

    def execute(self, context: bpy.types.Context) -> set[str]:
        python, data = server_python(), server_data()
        if python is None:
            self.report({"ERROR"}, "The Python that has the server is not known; choose it in the preferences")
            return {"CANCELLED"}
        arguments = ["stop", *([] if data is None else ["--data", str(data)])]
        try:
            server_tasks.begin(server_tasks.CommandTask(ServerCommand(python, arguments), "Stopping the Server"))
        except OSError as error:
            self.report({"ERROR"}, f"{python} cannot be run ({error.strerror}); choose another in the preferences")
            return {"CANCELLED"}
        return {"FINISHED"}
