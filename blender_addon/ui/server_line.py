# SPDX-License-Identifier: GPL-3.0-or-later
"""How the server is, with the one button that mends it."""

from __future__ import annotations

import bpy

from ..model.state import AppState, ServerState
from .problem import draw_problem

__all__ = ["draw_server_line"]

_LINES = {
    ServerState.UNKNOWN: ("Not Connected Yet", "UNLINKED"),
    ServerState.STARTING: ("Server Starting", "SORTTIME"),
    ServerState.CONNECTING: ("Reconnecting", "FILE_REFRESH"),
    ServerState.READY: ("Server Ready", "LINKED"),
}


def draw_server_line(layout: bpy.types.UILayout, state: AppState, context: bpy.types.Context) -> None:
    """Draws one quiet line where all is well, a sentence and a button where it is not."""
    server = state.server
    if server.problem is not None:
        draw_problem(layout, server.problem, context)
        return
    text, icon = _LINES.get(server.state, ("No Server", "UNLINKED"))
    row = layout.row()
    row.active = server.state is not ServerState.READY
    row.label(text=text, icon=icon)
    if server.state is ServerState.READY and server.devices:
        side = row.row()
        side.alignment = "RIGHT"
        side.label(text=server.devices[0].upper(), translate=False)
