# SPDX-License-Identifier: GPL-3.0-or-later
"""A job that goes on: its step, the time left, a small picture, Cancel."""

from __future__ import annotations

import bpy

from .. import event_pump
from ..choices import duration
from ..state import JobView, Phase, ServerState
from .text import draw_text

__all__ = ["draw_progress", "progress_text"]

_TEXTS = {
    Phase.FOUND: "Looking for the Job on the Server",
    Phase.RECEIVING: "Receiving the Maps",
    Phase.APPLYING: "Building the Material",
}


def progress_text(view: JobView, server: ServerState) -> str:
    """One line about where a job is."""
    if view.cancelling and view.phase is not Phase.APPLYING:
        return "Cancelling"
    if server is not ServerState.READY and view.phase not in (Phase.APPLYING, Phase.HELD):
        return "Waiting for the Server"
    match view.phase:
        case Phase.UPLOADING:
            return "Sending the Mesh" if view.fraction < 1.0 else "Checking the Mesh"
        case Phase.QUEUED:
            return "Waiting for Its Turn" if view.position == 0 else f"Waiting Behind {view.position} More"
        case Phase.RUNNING if view.steps:
            left = "" if view.eta_s is None else f", {duration(view.eta_s)} left"
            return f"Step {view.step} of {view.steps}{left}"
        case Phase.RUNNING:
            return "Preparing"
        case _:
            return _TEXTS.get(view.phase, "")


def draw_progress(layout: bpy.types.UILayout, view: JobView, context: bpy.types.Context) -> None:
    """In the place of the Generate button."""
    session = event_pump.existing_session()
    state = event_pump.current_state()
    box = layout.box()
    if view.phase is Phase.HELD:
        draw_text(box, view.note, context, icon="INFO")
        row = box.row(align=True)
        row.operator("pgc.apply_to_active").key = view.key
        row.operator("pgc.cancel", text="Discard", icon="X").key = view.key
        return
    icon = session.icons.icon_id(view.key) if session is not None else 0
    if icon:
        box.template_icon(icon, scale=7.0)
    box.progress(factor=view.progress, text=progress_text(view, state.server.state))
    if view.note:
        draw_text(box, view.note, context, icon="INFO")
    button = box.row()
    button.scale_y = 1.3
    button.operator("pgc.cancel", icon="X").key = view.key
