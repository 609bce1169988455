# SPDX-License-Identifier: GPL-3.0-or-later
"""Preferences: which server, and what is remembered between files."""

from __future__ import annotations

import shutil
from pathlib import Path

import bpy
from bpy.props import CollectionProperty, PointerProperty, StringProperty

from . import server_settings, server_tasks
from .client import default_connection_file

__all__ = ["CLASSES", "addon_preferences", "connection_file", "server_data", "server_python"]


def _on_connection(preferences: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    """Another server: connect to it, if there was a connection at all."""
    from . import event_pump

    session = event_pump.existing_session()
    if session is not None:
        with event_pump.guard("Reconnecting"):
            session.reconnect()


class PGC_PG_prompt(bpy.types.PropertyGroup):
    """A prompt that was used; its `name` is the text."""

    negative: StringProperty()


class PGC_AP_preferences(bpy.types.AddonPreferences):
    """Shown under Preferences > Add-ons."""

    bl_idname = __package__
    connection: StringProperty(
        name="Connection File",
        description="The file that the server writes; empty: that of this computer's own server",
        subtype="FILE_PATH",
        update=_on_connection,
    )
    python: StringProperty(
        name="Server's Python",
        description="The Python that has the server installed (pip install pgc-texture); never Blender's own",
        subtype="FILE_PATH",
    )
    install: PointerProperty(type=server_settings.PGC_PG_install)
    recent: CollectionProperty(type=PGC_PG_prompt)
    timings: StringProperty(description="What earlier jobs took, as JSON", default="{}", options={"HIDDEN"})

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column()
        column.use_property_split = True
        column.prop(self, "connection")
        column.prop(self, "python")
        from .ui.server_preferences import draw_server

        draw_server(self.layout, context)


CLASSES = (*server_settings.CLASSES, PGC_PG_prompt, PGC_AP_preferences)


def addon_preferences() -> PGC_AP_preferences | None:
    """The preferences; None while the extension is registered, but not enabled by Blender."""
    addon = bpy.context.preferences.addons.get(__package__)
    return addon.preferences if addon is not None else None


def connection_file() -> Path:
    """The chosen connection file."""
    preferences = addon_preferences()
    chosen = preferences.connection if preferences is not None else ""
    return Path(bpy.path.abspath(chosen)) if chosen else default_connection_file()


def server_python() -> str | None:
    """The Python that has the server; None where none is known."""
    preferences = addon_preferences()
    if preferences is not None and preferences.python:
        return bpy.path.abspath(preferences.python)
    installed = server_tasks.installed()
    if installed is not None:
        return str(installed.python)
    command = shutil.which("pgc-server")
    if command is None:
        return None
    # The command lies beside the Python that it was installed with.
    folder = Path(command).resolve().parent
    names = ("python.exe",) if folder.name == "Scripts" else ("python3", "python")
    return next((str(folder / name) for name in names if (folder / name).exists()), None)


def server_data() -> Path | None:
    """The data folder of a server that is to write the chosen connection file; None: the user's own."""
    file = connection_file()
    return None if file == default_connection_file() else file.parent
