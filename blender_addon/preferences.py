# SPDX-License-Identifier: GPL-3.0-or-later
"""Preferences: which server."""

from pathlib import Path

import bpy
from bpy.props import StringProperty

from .client import default_connection_file

__all__ = ["CLASSES", "connection_file", "server_python"]


class PGC_AP_preferences(bpy.types.AddonPreferences):
    """Shown under Preferences > Add-ons."""

    bl_idname = __package__
    connection: StringProperty(
        name="Connection File",
        description="The file that the server writes; empty: that of this machine's own server",
        subtype="FILE_PATH",
    )
    python: StringProperty(
        name="Server's Python",
        description="The Python that has the server installed (pip install pgc-texture); never Blender's own",
        subtype="FILE_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.prop(self, "connection")
        self.layout.prop(self, "python")


CLASSES = (PGC_AP_preferences,)


def connection_file() -> Path:
    """The chosen connection file."""
    addon = bpy.context.preferences.addons.get(__package__)
    chosen = addon.preferences.connection if addon and addon.preferences else ""
    return Path(bpy.path.abspath(chosen)) if chosen else default_connection_file()


def server_python() -> str:
    """The Python that has the server; where none is chosen, the one that is found first."""
    addon = bpy.context.preferences.addons.get(__package__)
    chosen = addon.preferences.python if addon and addon.preferences else ""
    return bpy.path.abspath(chosen) if chosen else "python3"
