# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy Command."""

import bpy

from ...local_server.settings import install_request
from ...server_install.planning import command_text, make_plan

__all__ = ["PGC_OT_copy_install_command"]


class PGC_OT_copy_install_command(bpy.types.Operator):
    """Copy the commands that install the server, to run them in a terminal. Then choose the environment's Python as Server's Python"""  # noqa: E501 - the tooltip is one line

    bl_idname = "pgc.copy_install_command"
    bl_label = "Copy Command"

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.window_manager.clipboard = command_text(make_plan(install_request()))
        self.report({"INFO"}, "Copied; paste it into a terminal")
        return {"FINISHED"}
