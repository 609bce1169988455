# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest frames of all jobs, and getting them onto the meshes: one map a tick."""

from __future__ import annotations

from collections.abc import Iterator

import bpy

from ..model.conditions.shapes import ShapeTask
from ..model.preview_frames import PreviewFrame
from ..model.state import AppState, JobRequest, JobView
from ..protocol.meshes import PreviewMesh
from ..scene.errors import SceneError
from ..scene.live_preview import begin_preview, end_preview, has_preview, may_preview, update_preview
from ..scene.lookup import find_object
from ..scene.meshes.export import ExportOptions
from ..scene.painting.mask_display import MASK_KEY, is_painting
from ..scene.shapes.wireframe import remove_wireframes, show_wireframe

__all__ = ["Previews", "export_options"]


def export_options(request: JobRequest) -> ExportOptions:
    """Says where a job's result goes."""
    target = "object" if request.target == "objects" else request.target
    return ExportOptions(uv_map=request.uv_map or None, target=target, slot=request.slot, faces=request.faces)


class Previews:
    """Keeps frames outside of the .blend, so that a preview can be taken off (save, undo, paint) and put on again."""

    def __init__(self) -> None:
        self._frames: dict[str, dict[str, PreviewFrame]] = {}
        self._new: dict[tuple[str, str], None] = {}
        """Job and map of what is to be shown, oldest first."""
        self._ending: set[str] = set()
        self._thumbnails: dict[str, PreviewFrame] = {}
        self._shapes: dict[str, PreviewMesh] = {}
        """The newest of each job that makes a shape, until it is shown."""

    def put(self, key: str, frame: PreviewFrame) -> None:
        """Takes a frame that came in; a later `step` shows it."""
        self._frames.setdefault(key, {})[frame.map] = frame
        self._new[key, frame.map] = None

    def put_shape(self, key: str, mesh: PreviewMesh) -> None:
        """Takes a shape of a moment; a later `step` shows it."""
        self._shapes[key] = mesh

    def end(self, key: str) -> None:
        """Takes the preview of a job that has ended off every object that shows it, duplicates too."""
        self._shapes.pop(key, None)
        remove_wireframes(lambda other: other != key)
        self._frames.pop(key, None)
        self._new = {waiting: None for waiting in self._new if waiting[0] != key}
        self._ending.add(key)
        self._finish_ending()

    def give_up(self) -> None:
        """Lets go of what waits, since showing has failed by a defect; the next frame of each job is tried again."""
        self._frames.clear()
        self._new.clear()
        self._ending.clear()
        self._shapes.clear()

    def take_off(self) -> None:
        """Takes all previews off for now, as before a save; the next `step`s bring them back, those of shapes with the
        next news.
        """
        remove_wireframes()
        for obj in _objects_with_preview():
            end_preview(obj)

    def take_off_strangers(self, state: AppState) -> None:
        """Removes for good the previews of no job that goes on, as an undo or a loaded file may bring them back."""
        live = {view.key for view in state.live() if not view.cancelling}
        remove_wireframes(live.__contains__)
        for obj in _objects_with_preview():
            masked = obj.pgc.job.preview.key == MASK_KEY and is_painting(obj)
            if obj.pgc.job.preview.key not in live and not masked:
                end_preview(obj)

    def step(self, state: AppState) -> bool:
        """Does at most one thing that costs: show a frame, or take a preview off. Returns whether there was one."""
        if self._ending:
            self._finish_ending()
        if self._shapes:
            self._show_shape(state)
            return True
        for view in state.live():
            if view.key in self._frames:
                self._keep(view)
        while self._new:
            key, name = next(iter(self._new))
            view = state.jobs.get(key)
            obj = None if view is None else find_object(view.object_uid, view.object_name)
            del self._new[key, name]
            if view is not None and obj is not None and self._show(view, obj, self._frames[key][name]):
                return True
        return False

    def _show_shape(self, state: AppState) -> None:
        key = next(iter(self._shapes))
        mesh, view = self._shapes.pop(key), state.jobs.get(key)
        task = None if view is None else ShapeTask.read(view.request.shape)
        obj = None if view is None else find_object(view.object_uid, view.object_name)
        if task is not None and (obj is not None or task.imagined):
            show_wireframe(obj, key, mesh)

    def _show(self, view: JobView, obj: bpy.types.Object, frame: PreviewFrame) -> bool:
        options = export_options(view.request)
        if not has_preview(obj, view.key):
            if not may_preview(obj, options) or obj.pgc.job.preview.key:
                return False
            try:
                begin_preview(obj, view.key, options)
            except SceneError:
                # The faces are not there any more; the end of the job says so, a preview need not.
                self._frames.pop(view.key, None)
                return False
        elif obj.mode == "TEXTURE_PAINT":
            return False
        update_preview(obj, frame)
        return True

    def _keep(self, view: JobView) -> None:
        """The preview is off where an artist paints, and on again where something took it off."""
        obj = find_object(view.object_uid, view.object_name)
        if obj is None:
            return
        view.object_name = obj.name
        if has_preview(obj, view.key):
            if obj.mode == "TEXTURE_PAINT":
                end_preview(obj)
        elif may_preview(obj, export_options(view.request)):
            for name in self._frames[view.key]:
                self._new.setdefault((view.key, name), None)

    def _finish_ending(self) -> None:
        waiting = {obj.pgc.job.preview.key for obj in _objects_with_preview() if not self._try_end(obj)}
        self._ending &= waiting

    def _try_end(self, obj: bpy.types.Object) -> bool:
        return obj.pgc.job.preview.key not in self._ending or end_preview(obj)


def _objects_with_preview() -> Iterator[bpy.types.Object]:
    for obj in bpy.data.objects:
        if obj.type == "MESH" and obj.is_editable and obj.pgc.job.preview.key:
            yield obj
