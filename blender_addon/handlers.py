# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to files while jobs go on: opened, saved, undone. Each handler does little and fails for nobody.

Opened: jobs that the file knows of are followed, previews that a crash left behind go, settings are migrated.
Saved: no preview gets into the file, and every job that goes on does. Autosave calls no handler: what it writes is
mended when it is opened. Undone: the same, at the next turn, for what the undo brought back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
from bpy.app.handlers import persistent

from .model.defects import guarded
from .model.migrations import migrate
from .model.state import AppState, Problem
from .scene.painting.keep_mask import pack_masks
from .scene.painting.painted_versions import pack_painted, split_painted
from .session import event_pump, jobs_in_blend
from .session.previews import Previews

__all__ = ["register", "unregister"]


def _told(doing: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A handler that never raises and survives the loading of files."""

    def wrap(function: Callable[..., None]) -> Callable[..., None]:
        return persistent(guarded(function, lambda error: event_pump.report_defect(doing, error)))

    return wrap


@_told("Finding the jobs of the opened file")
def _loaded(*_: Any) -> None:  # noqa: ANN401 - bpy's arguments differ between versions
    _follow_jobs()
    # What went wrong in the file of before is forgotten by now.
    with event_pump.guard("Bringing settings up to date"):
        _migrate_all()


def _follow_jobs() -> None:
    found = jobs_in_blend.collect()
    desk = event_pump.existing_job_desk()
    if desk is None and found and not bpy.app.background:
        desk = event_pump.job_desk()
    if desk is None:
        Previews().take_off_strangers(AppState())
        return
    # Their previews come anew, on what the file really shows.
    with event_pump.guard("Taking previews off"):
        desk.previews.take_off()
    desk.brush.forget()
    desk.adopt(found)


@_told("Preparing the file for a save")
def _about_to_save(*_: Any) -> None:  # noqa: ANN401
    # Each for itself: whatever fails, no preview is to get into the file.
    with event_pump.guard("Bringing settings up to date"):
        _migrate_all()
    with event_pump.guard("Packing masks"):
        pack_masks()
    with event_pump.guard("Keeping strokes on versions"):
        hindered = split_painted()
        pack_painted()
        if hindered:
            event_pump.show_problem(Problem(hindered[0], ""))
    desk = event_pump.existing_job_desk()
    if desk is None:
        return
    with event_pump.guard("Taking previews off"):
        desk.previews.take_off()
    jobs_in_blend.note_all(desk.state)


@_told("Noting what was saved")
def _saved(*_: Any) -> None:  # noqa: ANN401
    desk = event_pump.existing_job_desk()
    if desk is not None:
        desk.saved = {view.key for view in desk.state.live()}


@_told("Noting an undo")
def _undone(*_: Any) -> None:  # noqa: ANN401
    desk = event_pump.existing_job_desk()
    if desk is not None:
        # Not here: Blender has not rebuilt its dependencies yet, and data that is removed now may crash it.
        desk.undone = True
        # But this at once: undo does not bring back the canvas, and the next stroke may come before the next turn.
        desk.brush.follow(bpy.context.view_layer.objects.active)


@_told("Noting a change of a mesh")
def _changed(scene: Any, depsgraph: Any = None) -> None:  # noqa: ANN401
    """A mesh was edited, perhaps its UVs; called often, so that it only forgets what was known of it."""
    desk = event_pump.existing_job_desk()
    if desk is None or depsgraph is None:
        return
    for update in depsgraph.updates:
        if update.is_updated_geometry and isinstance(update.id, bpy.types.Mesh):
            desk.uvs.forget(update.id.original.session_uid)


def _migrate_all() -> None:
    for scene in bpy.data.scenes:
        if scene.is_editable:
            migrate(scene.pgc)


_HANDLERS = (
    ("load_post", _loaded),
    ("load_post_fail", _loaded),
    ("save_pre", _about_to_save),
    ("save_post", _saved),
    ("undo_post", _undone),
    ("redo_post", _undone),
    ("depsgraph_update_post", _changed),
)


def register() -> None:
    """Adds the handlers."""
    for name, function in _HANDLERS:
        getattr(bpy.app.handlers, name).append(function)


def unregister() -> None:
    """Takes the handlers away."""
    for name, function in _HANDLERS:
        handlers = getattr(bpy.app.handlers, name)
        if function in handlers:
            handlers.remove(function)
