# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's part of the preferences."""

from __future__ import annotations

import bpy

from ..build_options import INSTALL_SERVER
from ..local_server import tasks as server_tasks
from ..local_server.settings import settings
from ..server_install.progress import Progress
from ..translations import tr
from .text import draw_text

__all__ = ["draw_server"]

_ICONS = {"done": "CHECKMARK", "failed": "ERROR", "cancelled": "INFO"}


def draw_server(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draws install or remove, start, stop and log; what goes on, and how the last thing ended."""
    box = layout.box()
    box.label(text="Server on This Computer")
    now = server_tasks.progress()
    if now is not None:
        _draw_progress(box, now)
    elif server_tasks.installed() is not None:
        _draw_installed(box)
    else:
        _draw_absent(box)
    last = server_tasks.message()
    if last is not None and now is None:
        _draw_message(box, context, last)


def _draw_progress(layout: bpy.types.UILayout, now: Progress) -> None:
    step = tr(now.step)
    layout.progress(factor=now.factor, text=f"{step}: {now.detail}" if now.detail else step)
    layout.operator("pgc.cancel_server_task" if INSTALL_SERVER else "pgc.open_server_log", icon="X")


def _draw_installed(layout: bpy.types.UILayout) -> None:
    installed = server_tasks.installed()
    text = tr("Installed in {folder}").format(folder=installed.folder)
    layout.label(text=text, icon="CHECKMARK", translate=False)
    _draw_server_row(layout)
    if INSTALL_SERVER:
        row = layout.row(align=True)
        row.operator("pgc.install_server", text="Install Again", icon="IMPORT")
        row.operator("pgc.remove_server", icon="TRASH")


def _draw_absent(layout: bpy.types.UILayout) -> None:
    row = layout.row(align=True)
    if INSTALL_SERVER:
        row.operator("pgc.install_server", icon="IMPORT")
    row.operator("pgc.copy_install_command", icon="COPYDOWN")
    chosen = settings()
    if INSTALL_SERVER and chosen is not None:
        column = layout.column()
        column.use_property_split = True
        column.prop(chosen, "folder")
        column.prop(chosen, "wheels")
    _draw_server_row(layout)


def _draw_server_row(layout: bpy.types.UILayout) -> None:
    row = layout.row(align=True)
    row.operator("pgc.start_server", icon="PLAY")
    row.operator("pgc.stop_server", icon="PAUSE")
    row.operator("pgc.open_server_log", icon="TEXT")


def _draw_message(layout: bpy.types.UILayout, context: bpy.types.Context, last: Progress) -> None:
    column = layout.column(align=True)
    column.alert = last.state == "failed"
    draw_text(column, last.detail, context, icon=_ICONS[last.state])
