# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the foremost job is, in Blender's status bar: to be seen with any editor, and with the sidebar closed."""

from __future__ import annotations

import bpy

from ..model.state import JobView, Phase
from ..session import event_pump
from ..translations import tr
from .progress import progress_text

__all__ = ["draw_in_status_bar"]

_WIDTH = 16
"""Of the bar, in Blender's units of a button's height: room for a name, the step and the time."""
_AT_WORK = (Phase.RUNNING, Phase.RECEIVING, Phase.APPLYING)


def draw_in_status_bar(header: bpy.types.Header, context: bpy.types.Context) -> None:
    """Draws the foremost job's progress and its cross; nothing at all where no job goes on."""
    state = event_pump.current_state()
    views = [view for view in state.live() if view.phase is not Phase.HELD and not view.cancelling]
    if not views:
        return
    view = next((one for one in views if one.phase in _AT_WORK), views[0])
    row = header.layout.row(align=True)
    bar = row.row(align=True)
    bar.ui_units_x = _WIDTH
    bar.progress(factor=view.progress, text=_text(view, len(views) - 1, progress_text(view, state.server.state)))
    row.operator("pgc.cancel", text="", icon="X").key = view.key


def _text(view: JobView, others: int, now: str) -> str:
    if others:
        return tr("{name} (+{count}): {now}").format(name=view.object_name, count=others, now=now)
    return tr("{name}: {now}").format(name=view.object_name, now=now)
