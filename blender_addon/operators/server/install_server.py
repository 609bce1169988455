# SPDX-License-Identifier: GPL-3.0-or-later
"""Install Server, and the cancelling of it."""

from __future__ import annotations

import textwrap

import bpy

from ...local_server import tasks as server_tasks
from ...local_server.settings import install_log, install_request
from ...server_install.planning import Plan, make_plan, size_text
from ...server_install.runner import Installation
from ...translations import tr
from .server_task import OneServerTask

__all__ = ["CLASSES", "PGC_OT_cancel_server_task", "PGC_OT_install_server"]

_WIDTH = 520
_LETTERS = 74


class PGC_OT_install_server(OneServerTask, bpy.types.Operator):
    """Install the texture server into a Python environment of its own, outside Blender. Shows the size and the folder, and asks first"""  # noqa: E501 - the tooltip is one line

    bl_idname = "pgc.install_server"
    bl_label = "Install Server"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._plan = make_plan(install_request())
        # On this dialog's button depends the consent; Escape leaves everything as it is.
        return context.window_manager.invoke_props_dialog(self, width=_WIDTH, confirm_text=_button(self._plan))

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column(align=True)
        for text, icon in _lines(self._plan):
            column.label(text=text, icon=icon, translate=False)
        for obstacle in self._plan.obstacles:
            column = self.layout.column(align=True)
            column.alert = True
            for index, line in enumerate(textwrap.wrap(tr(obstacle.text), _LETTERS)):
                column.label(text=line, icon="BLANK1" if index else "ERROR", translate=False)
            if obstacle.fix:
                # Blender's own operators for this have no label.
                self.layout.operator(obstacle.fix, text="Allow Online Access", icon="INTERNET")
        self.layout.operator("pgc.copy_install_command", icon="COPYDOWN")

    def execute(self, context: bpy.types.Context) -> set[str]:
        # Made again: the artist may have mended what stood against it while the dialog was open.
        plan = make_plan(install_request())
        if plan.obstacles:
            self.report({"ERROR"}, f"{plan.obstacles[0].text}.")
            return {"CANCELLED"}
        server_tasks.begin(Installation(plan, install_log()))
        self.report({"INFO"}, f"Installing the server into {plan.request.folder}")
        return {"FINISHED"}


class PGC_OT_cancel_server_task(bpy.types.Operator):
    """Stop the installation. What was installed so far is deleted"""

    bl_idname = "pgc.cancel_server_task"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return server_tasks.is_busy()

    def execute(self, context: bpy.types.Context) -> set[str]:
        server_tasks.cancel()
        return {"FINISHED"}


def _button(plan: Plan) -> str:
    return "Install" if not plan.obstacles else "Try Again"


def _lines(plan: Plan) -> list[tuple[str, str]]:
    request, disk = plan.request, size_text(plan.disk)
    if plan.download:
        size = tr("Size: {disk} on the disk, loads {download}").format(disk=disk, download=size_text(plan.download))
    else:
        size = tr("Size: {disk} on the disk, from {wheels}").format(disk=disk, wheels=request.wheels)
    lines = [(tr("Folder: {folder}").format(folder=request.folder), "FILE_FOLDER"), (size, "DISK_DRIVE")]
    if plan.python is not None:
        version = ".".join(map(str, plan.python.version))
        lines.append((f"Python {version}: {plan.python.path}", "SCRIPT"))
        if plan.python.of_blender:
            lines.append((tr("Blender lends its Python; nothing is installed into Blender"), "INFO"))
    return lines


CLASSES = (PGC_OT_install_server, PGC_OT_cancel_server_task)
