# SPDX-License-Identifier: GPL-3.0-or-later
"""The one timer: gives the job desk its turn on Blender's main thread, a few milliseconds at a time."""

from __future__ import annotations

from contextlib import AbstractContextManager

import bpy

from ..local_server.reach import is_loopback
from ..model.defects import defect, note_defect
from ..model.state import AppState, Problem
from ..model.timings import read_timings, written_timings
from ..stored_preferences import addon_preferences, connection_file
from .job_desk import JobDesk

__all__ = [
    "current_state",
    "existing_job_desk",
    "guard",
    "job_desk",
    "may_reach",
    "redraw",
    "report_defect",
    "show_problem",
    "start",
    "stop",
    "tick",
]

_BUDGET = 0.008
_BUSY, _IDLE = 0.05, 0.5
"""Seconds until the next turn, while something goes on and while nothing does."""
_AREAS = {"VIEW_3D", "PROPERTIES", "PREFERENCES"}
_held: list[JobDesk] = []
_NOTHING = AppState()


def job_desk() -> JobDesk:
    """Returns this Blender's job desk; made at the first need."""
    if not _held:
        _held.append(JobDesk(connection_file))
        preferences = addon_preferences()
        if preferences is not None:
            read_timings(_held[0].state, preferences.timings)
    return _held[0]


def existing_job_desk() -> JobDesk | None:
    """Returns the job desk, if there is one: for what must not start anything."""
    return _held[0] if _held else None


def current_state() -> AppState:
    """Returns what the panel shows; before the first need: nothing yet. Drawing must not change it."""
    return _held[0].state if _held else _NOTHING


def show_problem(problem: Problem | None) -> None:
    """Shows a sentence and its fixing button in the panel; None: takes it away."""
    obj = bpy.context.view_layer.objects.active
    job_desk().state.show_problem(problem, obj.mode if obj is not None else "")
    redraw()


def may_reach(host: str) -> bool:
    """Says whether Blender's settings allow a connection to this host."""
    return is_loopback(host) or bpy.app.online_access


def redraw() -> None:
    """Makes Blender draw the panels again."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in _AREAS:
                area.tag_redraw()
    if _held and _held[0].state.jobs:
        # The status bar is an area of no screen. It redraws where a view layer gets another name.
        bpy.msgbus.publish_rna(key=(bpy.types.ViewLayer, "name"))


def report_defect(doing: str, error: Exception) -> Problem:
    """Tells of an exception in the console and, once, in the panel; `doing` is what was going on."""
    state = current_state()
    problem = note_defect(state, doing, error)
    with defect(state, "Drawing the panels anew"):
        redraw()
    return problem


def guard(doing: str) -> AbstractContextManager[None]:
    """Runs what is inside, which may fail: the panel says so, and what comes after it is done all the same."""
    return defect(current_state(), doing)


def tick() -> float:
    """Does one turn; returns the seconds until the next one. Never raises, or Blender would end the timer."""
    try:
        return _turn()
    except Exception as error:  # noqa: BLE001 - whatever it is, there has to be a next turn
        report_defect("A turn of the timer", error)
    return _BUSY if _held and _held[0].busy else _IDLE


def _turn() -> float:
    if not bpy.app.background:
        # A window is open: see whether a server runs, so that the panel can say so before the first click.
        job_desk().connect()
    elif not _held:
        return _IDLE
    held = _held[0]
    known = dict(held.state.seconds_per_step)
    if held.tick(_BUDGET):
        redraw()
    if held.state.seconds_per_step != known:
        _keep_timings(held.state)
    return _BUSY if held.busy else _IDLE


def _keep_timings(state: AppState) -> None:
    preferences = addon_preferences()
    if preferences is not None:
        preferences.timings = written_timings(state)
        bpy.context.preferences.is_dirty = True


def start() -> None:
    """Begins the timer, which survives the loading of files."""
    bpy.app.timers.register(tick, persistent=True)


def stop() -> None:
    """Ends the timer and the client's thread."""
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    while _held:
        held = _held.pop()
        with defect(held.state, "Ending the session"):
            held.close()
