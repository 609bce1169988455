# SPDX-License-Identifier: GPL-3.0-or-later
"""Show Log."""

from __future__ import annotations

from pathlib import Path

import bpy

from ...server_install.server_commands import LogLine, read_log
from ...stored_preferences import connection_file

__all__ = ["PGC_OT_open_server_log"]

_ICONS = {"error": "ERROR", "critical": "ERROR", "warning": "QUESTION"}
_WIDTH = 100


class PGC_OT_open_server_log(bpy.types.Operator):
    """Show the last lines of the server's log; OK opens its folder"""

    bl_idname = "pgc.open_server_log"
    bl_label = "Server Log"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._lines = read_log(_folder() / "server.jsonl")
        return context.window_manager.invoke_props_dialog(self, width=700, confirm_text="Open Folder")

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column(align=True)
        for line in self._lines or [LogLine(level="info", text=f"There is no log in {_folder()}")]:
            column.label(text=line.text[:_WIDTH], icon=_ICONS.get(line.level, "BLANK1"), translate=False)

    def execute(self, context: bpy.types.Context) -> set[str]:
        folder = _folder()
        if not folder.is_dir():
            self.report({"ERROR"}, f"There is no {folder}; the server has not run on this computer yet")
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=str(folder))
        return {"FINISHED"}


def _folder() -> Path:
    return connection_file().parent / "logs"
