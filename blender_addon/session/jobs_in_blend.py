# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that go on, noted in their objects, so that a file that is opened again finds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import bpy

from ..model.state import AppState, JobRequest, JobView, Phase
from ..overrides import remove_item
from ..scene.lookup import find_object

__all__ = ["collect", "forget", "note", "note_all"]

_REQUEST = tuple(item.name for item in fields(JobRequest))


def note(view: JobView) -> None:
    """Writes a job into its object, or brings what is written up to date. New UVs are not noted: in a file that is
    opened again they are asked for anew.
    """
    if view.unwrap is not None:
        return
    obj = find_object(view.object_uid, view.object_name)
    if obj is None or not obj.is_editable:
        return
    pending = obj.pgc.job.pending
    entry = next((entry for entry in pending if entry.key == view.key), None) or pending.add()
    entry.key, entry.job = view.key, view.job or ""
    for name in _REQUEST:
        setattr(entry, name, getattr(view.request, name))


def note_all(state: AppState) -> None:
    """Notes every job that goes on in its object, and no other: called before a save and after an undo."""
    live = {view.key: view for view in state.live() if not view.cancelling}
    for obj in _objects():
        _remove(obj, lambda key: key not in live)
    for view in live.values():
        note(view)


def forget(key: str) -> None:
    """Takes a job out of its object, since it is over, or its result is a version."""
    for obj in _objects():
        _remove(obj, lambda noted: noted == key)


def collect() -> list[JobView]:
    """Returns all jobs that the open file has, each once."""
    found: dict[str, JobView] = {}
    for obj in _objects():
        for entry in obj.pgc.job.pending:
            if entry.key and entry.key not in found:
                request = JobRequest(**{name: getattr(entry, name) for name in _REQUEST})
                view = JobView(entry.key, request, obj.name, obj.session_uid, Phase.FOUND, entry.job or None)
                found[entry.key] = view
    return list(found.values())


def _remove(obj: bpy.types.Object, over: Callable[[str], bool]) -> None:
    pending = obj.pgc.job.pending
    for index in reversed(range(len(pending))):
        if over(pending[index].key) and not remove_item(pending, index):
            # The library file was saved while a job went on: its note stays there, and says nothing here.
            pending[index].key = ""


def _objects() -> list[bpy.types.Object]:
    """Those that have notes. What is linked from another file is that file's, and cannot be changed here."""
    return [obj for obj in bpy.data.objects if obj.type == "MESH" and obj.is_editable and len(obj.pgc.job.pending)]
