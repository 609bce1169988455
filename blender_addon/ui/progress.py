# SPDX-License-Identifier: GPL-3.0-or-later
"""A job that goes on: its step, the time left, a small picture, Cancel."""

from __future__ import annotations

import textwrap

import bpy

from ..model.choices import duration
from ..model.state import JobView, Phase, ServerState
from ..scene.live_preview import preview_hindrance
from ..session import event_pump
from ..session.previews import export_options
from ..translations import tr
from ..uv_measure import WORTH_SAYING, expected_seconds
from .text import draw_text

__all__ = ["draw_progress", "draw_waiting", "effort_text", "progress_text", "waiting_text"]

_TEXTS = {
    Phase.FOUND: "Looking for the Job on the Server",
    Phase.RECEIVING: "Receiving the Maps",
    Phase.APPLYING: "Building the Material",
}

_SHAPE_TEXTS = {
    **_TEXTS,
    Phase.RECEIVING: "Receiving the Shape",
    Phase.APPLYING: "Receiving the Shape",
}

_UV_TEXTS = {
    Phase.RUNNING: "Making UVs",
    Phase.RECEIVING: "Receiving the UVs",
    Phase.APPLYING: "Receiving the UVs",
}


def progress_text(view: JobView, server: ServerState) -> str:
    """Says in one line where a job is."""
    if view.cancelling and view.phase is not Phase.APPLYING:
        return tr("Cancelling")
    if view.stopping and view.phase is not Phase.APPLYING:
        return tr("Stopping; What There Is Is Kept")
    if server is not ServerState.READY and view.phase not in (Phase.APPLYING, Phase.HELD):
        return tr("Waiting for the Server")
    match view.phase:
        case Phase.UPLOADING:
            return tr("Sending the Mesh") if view.fraction < 1.0 else tr("Checking the Mesh")
        case Phase.QUEUED:
            if view.position == 0:
                return tr("Waiting for Its Turn")
            return tr("Waiting Behind {count} More").format(count=view.position)
        case Phase.RUNNING if view.unwrap is None:
            return _running_text(view)
        case _:
            texts = _UV_TEXTS if view.unwrap is not None else _SHAPE_TEXTS if view.reshapes else _TEXTS
            return tr(texts.get(view.phase, ""))


def waiting_text(view: JobView) -> str:
    """Says what new UVs that wait on the server wait for, and the way without waiting; empty where they do not."""
    if view.unwrap is None or view.phase is not Phase.QUEUED:
        return ""
    return tr("The server does one job at a time. Cancel, and New UV Map makes UVs in Blender at once.")


def effort_text(view: JobView) -> str:
    """Says how long new UVs take, from the click on until they come; empty where it is not worth saying."""
    if view.unwrap is None or view.phase not in (Phase.UPLOADING, Phase.QUEUED, Phase.RUNNING):
        return ""
    seconds = expected_seconds(view.unwrap.triangles)
    if seconds <= WORTH_SAYING:
        return ""
    text = tr("xatlas takes about {time} for {count} triangles. Blender goes on meanwhile.")
    return text.format(time=duration(seconds), count=f"{view.unwrap.triangles:,}")


def _running_text(view: JobView) -> str:
    if not view.steps:
        return tr("Preparing")
    if view.eta_s is None:
        return tr("Step {step} of {steps}").format(step=view.step, steps=view.steps)
    text = tr("Step {step} of {steps}, {left} left")
    return text.format(step=view.step, steps=view.steps, left=duration(view.eta_s))


def draw_waiting(layout: bpy.types.UILayout, view: JobView, *, own: bool) -> None:
    """Draws a job in one line, beside the foremost one; own: it is one more of the active object's."""
    row = layout.row(align=True)
    if view.cancelling:
        row.label(text=tr("{name}: Cancelled, Coming as a Version").format(name=view.object_name), translate=False)
        return
    text = view.object_name
    if own:
        text = tr("{prompt}, Seed {seed}").format(prompt=_short(view.request.prompt), seed=view.request.seed)
    desk = event_pump.existing_job_desk()
    icon = desk.icons.icon_id(view.key) if desk is not None else 0
    if icon:
        row.label(text="", icon_value=icon)
    row.progress(factor=view.progress, text=text)
    row.operator("pgc.cancel", text="", icon="X").key = view.key


def _short(prompt: str) -> str:
    return textwrap.shorten(prompt, 28, placeholder=" …") or prompt[:28]


def draw_progress(layout: bpy.types.UILayout, view: JobView, context: bpy.types.Context) -> None:
    """Draws how far a job is, in the place of the Generate button."""
    desk = event_pump.existing_job_desk()
    state = event_pump.current_state()
    box = layout.box()
    if view.phase is Phase.HELD:
        draw_text(box, view.note, context, icon="INFO")
        # Side by side, a sidebar of ordinary width cuts the first one.
        column = box.column(align=True)
        if view.paints:
            column.operator("pgc.apply_to_active").key = view.key
        column.operator("pgc.cancel", text="Discard", icon="X").key = view.key
        return
    icon = desk.icons.icon_id(view.key) if desk is not None else 0
    if icon:
        box.template_icon(icon, scale=7.0)
    box.progress(factor=view.progress, text=progress_text(view, state.server.state))
    hindrance = ""
    obj = context.object
    own = obj is not None and obj.session_uid == view.object_uid
    if view.phase is Phase.RUNNING and own and view.paints:
        hindrance = preview_hindrance(obj, export_options(view.request))
    lines = (
        (view.note, "INFO"),
        (effort_text(view), "TIME"),
        (waiting_text(view), "INFO"),
        (view.warning, "ERROR"),
        (hindrance, "HIDE_ON"),
    )
    for text, mark in lines:
        if text:
            draw_text(box, text, context, icon=mark)
    buttons = box.row(align=True)
    buttons.scale_y = 1.3
    if view.unwrap is None:
        keep = buttons.row(align=True)
        keep.enabled = view.stoppable
        keep.operator("pgc.stop_and_keep", icon="CHECKMARK").key = view.key
    buttons.operator("pgc.cancel", icon="X").key = view.key
