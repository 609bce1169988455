# SPDX-License-Identifier: GPL-3.0-or-later
"""Install Server, and the cancelling of it."""

from __future__ import annotations

import bpy

from .. import server_tasks
from ..server_install.planning import Plan, make_plan, size_text
from ..server_install.runner import Installation
from ..server_settings import install_log, install_request

__all__ = ["CLASSES", "PGC_OT_cancel_server_task", "PGC_OT_install_server"]


class PGC_OT_install_server(bpy.types.Operator):
    """Install the texture server into a Python environment of its own, outside Blender. Shows the size and the folder, and asks first"""  # noqa: E501 - the tooltip is one line

    bl_idname = "pgc.install_server"
    bl_label = "Install Server"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if server_tasks.is_busy():
            cls.poll_message_set("Something is being done with the server already")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._plan = make_plan(install_request())
        # On this dialog's button depends the consent; Escape leaves everything as it is.
        return context.window_manager.invoke_props_dialog(self, width=520, confirm_text=_button(self._plan))

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column(align=True)
        for text, icon in _lines(self._plan):
            column.label(text=text, icon=icon, translate=False)
        for obstacle in self._plan.obstacles:
            row = self.layout.row()
            row.alert = True
            row.label(text=obstacle.text, icon="ERROR")
            if obstacle.fix:
                self.layout.operator(obstacle.fix)
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
    source = f"loads {size_text(plan.download)}" if plan.download else f"from {plan.request.wheels}"
    lines = [
        (f"Folder: {plan.request.folder}", "FILE_FOLDER"),
        (f"Size: {size_text(plan.disk)} on the disk, {source}", "DISK_DRIVE"),
    ]
    if plan.python is not None:
        version = ".".join(map(str, plan.python.version))
        lender = ", lent by Blender; nothing is installed into Blender" if plan.python.of_blender else ""
        lines.append((f"Python {version}: {plan.python.path}{lender}", "SCRIPT"))
    return lines


CLASSES = (PGC_OT_install_server, PGC_OT_cancel_server_task)
