# SPDX-License-Identifier: GPL-3.0-or-later
"""What mends a connection: another file, a pairing, leave to go online, a new try."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty

from ...client import PairingError, default_connection_file, pair
from ...session import event_pump
from ...stored_preferences import addon_preferences, connection_file

__all__ = ["CLASSES"]


class PGC_OT_choose_connection_file(bpy.types.Operator):
    """Choose the file that the server writes (connection.json), and connect by it"""

    bl_idname = "pgc.choose_connection_file"
    bl_label = "Choose Connection File"

    filepath: StringProperty(name="Connection File", description="The server's connection.json", subtype="FILE_PATH")
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.filepath = str(connection_file())
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        # Its update connects anew.
        addon_preferences().connection = self.filepath
        return {"FINISHED"}


class PGC_OT_pair(bpy.types.Operator):
    """Make a connection to a server on another computer, by the code that `pgc-server pair` shows there"""

    bl_idname = "pgc.pair"
    bl_label = "Pair with Server"

    code: StringProperty(name="Pairing Code", description="HOST:PORT:LETTERS, as pgc-server pair shows it")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self, width=420)

    def execute(self, context: bpy.types.Context) -> set[str]:
        host = self.code.strip().rpartition(":")[0].rpartition(":")[0]
        if host and not event_pump.may_reach(host):
            self.report({"ERROR"}, f"Blender may not go online, and {host} is another computer; allow it first")
            return {"CANCELLED"}
        path = _paired_file()
        try:
            pair(self.code, path)
        except (PairingError, OSError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        addon_preferences().connection = str(path)
        return {"FINISHED"}


class PGC_OT_allow_online(bpy.types.Operator):
    """Allow Blender and its extensions to go online, as in Preferences > System, and connect"""

    bl_idname = "pgc.allow_online"
    bl_label = "Allow Online Access"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        if bpy.app.online_access_override:
            self.report({"ERROR"}, "Blender was started with --offline-mode; start it without")
            return {"CANCELLED"}
        context.preferences.system.use_online_access = True
        event_pump.job_desk().reconnect()
        event_pump.redraw()
        return {"FINISHED"}


class PGC_OT_reconnect(bpy.types.Operator):
    """Connect to the server anew. Textures that it is making are followed on"""

    bl_idname = "pgc.reconnect"
    bl_label = "Reconnect"

    def execute(self, context: bpy.types.Context) -> set[str]:
        event_pump.job_desk().reconnect()
        event_pump.redraw()
        return {"FINISHED"}


def _paired_file() -> Path:
    """Beside this computer's own server's file, whose place it does not take."""
    return default_connection_file().with_name("paired-connection.json")


CLASSES = (PGC_OT_choose_connection_file, PGC_OT_pair, PGC_OT_allow_online, PGC_OT_reconnect)
