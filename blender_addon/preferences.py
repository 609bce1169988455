# SPDX-License-Identifier: GPL-3.0-or-later
"""Preferences: which server, and what is remembered between files."""

from __future__ import annotations

import bpy
from bpy.props import CollectionProperty, PointerProperty, StringProperty

from .local_server import settings as server_settings
from .session import event_pump
from .ui.server_preferences import draw_server

__all__ = ["CLASSES"]


def _on_connection(preferences: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    """Another server: connect to it, if there was a connection at all."""
    desk = event_pump.existing_job_desk()
    if desk is not None:
        with event_pump.guard("Reconnecting"):
            desk.reconnect()


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
        draw_server(self.layout, context)


CLASSES = (*server_settings.CLASSES, PGC_PG_prompt, PGC_AP_preferences)
