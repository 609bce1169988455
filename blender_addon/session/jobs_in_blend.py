# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that go on, noted in their objects, or in the scene where they have none, so that a file that is opened again
finds them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import bpy

from ..model.conditions.shapes import FROM_PROMPT, NOWHERE
from ..model.state import AppState, JobRequest, JobView, Phase
from ..overrides import remove_item
from ..scene.lookup import find_object

__all__ = ["collect", "forget", "note", "note_all"]

_REQUEST = tuple(item.name for item in fields(JobRequest))


def note(view: JobView) -> None:
    """Writes a job into its place, or brings what is written up to date. New UVs are not noted: in a file that is
    opened again they are asked for anew.
    """
    if view.unwrap is not None:
        return
    pending = _of_scene(view.key) if view.of_no_object else _of_object(view)
    if pending is None:
        return
    entry = next((entry for entry in pending if entry.key == view.key), None) or pending.add()
    entry.key, entry.job = view.key, view.job or ""
    for name in _REQUEST:
        setattr(entry, name, getattr(view.request, name))


def note_all(state: AppState) -> None:
    """Notes every job that goes on in its place, and no other: called before a save and after an undo."""
    live = {view.key: view for view in state.live() if not view.cancelling}
    for pending in _places():
        _remove(pending, lambda key: key not in live)
    for view in live.values():
        note(view)


def forget(key: str) -> None:
    """Takes a job out of its place, since it is over, or its result is a version."""
    for pending in _places():
        _remove(pending, lambda noted: noted == key)


def collect() -> list[JobView]:
    """Returns all jobs that the open file has, each once."""
    found: dict[str, JobView] = {}
    owners = [(obj.name, obj.session_uid, obj.pgc.job.pending) for obj in _objects()]
    owners += [(FROM_PROMPT, NOWHERE, pending) for pending in _of_scenes()]
    for name, uid, pending in owners:
        for entry in pending:
            if entry.key and entry.key not in found:
                request = JobRequest(**{name: getattr(entry, name) for name in _REQUEST})
                found[entry.key] = JobView(entry.key, request, name, uid, Phase.FOUND, entry.job or None)
    return list(found.values())


def _remove(pending: Any, over: Callable[[str], bool]) -> None:  # noqa: ANN401 - a bpy collection
    for index in reversed(range(len(pending))):
        if over(pending[index].key) and not remove_item(pending, index):
            # The library file was saved while a job went on: its note stays there, and says nothing here.
            pending[index].key = ""


def _of_object(view: JobView) -> Any:  # noqa: ANN401 - a bpy collection
    obj = find_object(view.object_uid, view.object_name)
    return obj.pgc.job.pending if obj is not None and obj.is_editable else None


def _of_scene(key: str) -> Any:  # noqa: ANN401 - a bpy collection
    """Those of the scene that has the job already, or else of the one that is open."""
    scenes = _of_scenes()
    known = [pending for pending in scenes if any(entry.key == key for entry in pending)]
    if bpy.context.scene.is_editable:
        known.append(bpy.context.scene.pgc.shape.pending)
    return next(iter([*known, *scenes]), None)


def _of_scenes() -> list[Any]:
    return [scene.pgc.shape.pending for scene in bpy.data.scenes if scene.is_editable]


def _places() -> list[Any]:
    return [*(obj.pgc.job.pending for obj in _objects()), *_of_scenes()]


def _objects() -> list[bpy.types.Object]:
    """Those that have notes. What is linked from another file is that file's, and cannot be changed here."""
    return [obj for obj in bpy.data.objects if obj.type == "MESH" and obj.is_editable and len(obj.pgc.job.pending)]
