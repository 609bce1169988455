# SPDX-License-Identifier: GPL-3.0-or-later
"""The one timer: takes the client's events on Blender's main thread, a few milliseconds at a time."""

from __future__ import annotations

import time

import bpy

from .preferences import connection_file
from .session import Session

__all__ = ["session", "start", "stop"]

_BUDGET = 0.008
_BUSY, _IDLE = 0.05, 0.5
_held: list[Session] = []


def session() -> Session:
    """This Blender's session; made at the first need."""
    if not _held:
        _held.append(Session(connection_file()))
    return _held[0]


def tick() -> float:
    """Handle events until the budget is used up; returns the seconds until the next call."""
    if not _held:
        return _IDLE
    end = time.perf_counter() + _BUDGET
    handled = 0
    while time.perf_counter() < end:
        event = _held[0].client.events.get(timeout=0.0)
        if event is None:
            break
        _held[0].handle(event)
        handled += 1
    if handled:
        for window in bpy.context.window_manager.windows:
            for area in window.screen.areas:
                if area.type in {"VIEW_3D", "PROPERTIES"}:
                    area.tag_redraw()
    return _BUSY


def start() -> None:
    """Begin; survives the loading of files."""
    bpy.app.timers.register(tick, persistent=True)


def stop() -> None:
    """End the timer and the client's thread."""
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    while _held:
        _held.pop().close()
