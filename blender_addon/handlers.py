# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to files while jobs go on: opened, saved, undone. Each handler does little and fails for nobody.

Opened: jobs that the file knows of are followed, previews that a crash left behind go, settings are migrated.
Saved: no preview gets into the file, and every job that goes on does. Autosave calls no handler: what it writes is
mended when it is opened. Undone: the same, at the next turn, for what the undo brought back.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import event_pump, jobs_in_blend
from .migrations import migrate
from .previews import Previews
from .scene.keep_mask import pack_masks
from .state import AppState

__all__ = ["register", "unregister"]


@persistent
def _loaded(*_: Any) -> None:  # noqa: ANN401 - bpy's arguments differ between versions
    _migrate_all()
    found = jobs_in_blend.collect()
    session = event_pump.existing_session()
    if session is None and found and not bpy.app.background:
        session = event_pump.session()
    if session is None:
        Previews().take_off_strangers(AppState())
        return
    # Their previews come anew, on what the file really shows.
    session.previews.take_off()
    session.adopt(found)


@persistent
def _about_to_save(*_: Any) -> None:  # noqa: ANN401
    _migrate_all()
    pack_masks()
    session = event_pump.existing_session()
    if session is not None:
        session.previews.take_off()
        jobs_in_blend.note_all(session.state)


@persistent
def _saved(*_: Any) -> None:  # noqa: ANN401
    session = event_pump.existing_session()
    if session is not None:
        session.saved = {view.key for view in session.state.live()}


@persistent
def _undone(*_: Any) -> None:  # noqa: ANN401
    session = event_pump.existing_session()
    if session is not None:
        # Not here: Blender has not rebuilt its dependencies yet, and data that is removed now may crash it.
        session.undone = True


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
)


def register() -> None:
    """Add the handlers."""
    for name, function in _HANDLERS:
        getattr(bpy.app.handlers, name).append(function)


def unregister() -> None:
    """Take them away."""
    for name, function in _HANDLERS:
        handlers = getattr(bpy.app.handlers, name)
        if function in handlers:
            handlers.remove(function)
