# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove Server."""

import bpy

from ...local_server import tasks as server_tasks
from ...server_install.runner import Removal
from ..poll import passes_unless
from .server_task import OneServerTask

__all__ = ["PGC_OT_remove_server"]


class PGC_OT_remove_server(OneServerTask, bpy.types.Operator):
    """Delete the server that Install Server has installed. Its jobs and models, and all textures in your files, are kept"""  # noqa: E501 - the tooltip is one line

    bl_idname = "pgc.remove_server"
    bl_label = "Remove Server"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        return passes_unless(cls, server_tasks.installed() is None, "Install Server has installed none")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        installed = server_tasks.installed()
        assert installed is not None, "poll() has seen to that"
        server_tasks.begin(Removal(installed.folder))
        return {"FINISHED"}
