# SPDX-License-Identifier: GPL-3.0-or-later
"""From a job's maps to a version of its object: one map a tick, and only when the object can take it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import bpy

from ..client import MapFile
from ..model.defects import defect, note_defect
from ..model.state import AppState, JobView, Phase, Problem
from ..model.uv_packing import packed_digest, uv_digest
from ..scene.errors import SceneError
from ..scene.live_preview import end_preview
from ..scene.lookup import find_object
from ..scene.meshes.uv_watch import uv_values
from ..scene.versions.builder import VersionBuilder, VersionFacts
from .jobs_in_blend import forget
from .previews import export_options
from .reshaping import put_shape, shape_hindrance
from .unwrapping import put_new_uvs, unwrap_hindrance

__all__ = ["Deliveries", "hindrance", "rendering"]

_STEPS = {"texture": "Generate Texture", "unwrap": "New UV Map", "shape": "Refine Shape", "object": "New Object"}
"""What undo calls a result."""


def rendering() -> bool:
    """Says whether Blender renders: the scene's pictures must not change under it."""
    return bpy.app.is_job_running("RENDER")


def hindrance(view: JobView, obj: bpy.types.Object | None) -> str:
    """Says why a result cannot be put on its object now, as a sentence; "" where it can."""
    if view.unwrap is not None:
        return "" if obj is None else unwrap_hindrance(view, obj)
    if view.reshapes:
        return shape_hindrance(view, obj)
    if obj is None:
        return f"{view.object_name} is gone. Undo its removal, or apply the texture to another object."
    if not obj.is_editable:
        return f"{obj.name} is linked from another file. Make it local or override it, then the texture is applied."
    if not _shown(view):
        return ""
    if obj.mode == "TEXTURE_PAINT":
        return "The texture is finished. Leave Texture Paint to see it."
    # Another job's preview may have moved faces, which only come back outside of Edit Mode.
    faces = view.request.target == "selected_faces" or bool(obj.pgc.job.preview.faces)
    if obj.mode == "EDIT" and faces:
        return "The texture is finished. Leave Edit Mode to see it."
    return ""


def _shown(view: JobView) -> bool:
    """Whether the result is put on the object, and is not a version only."""
    return not (view.cancelling or view.request.waits)


class Deliveries:
    """Results on their way into the scene, one after another."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._builder: VersionBuilder | None = None
        self._left: list[MapFile] = []

    def add(self, key: str) -> None:
        """Queues a job whose maps are in its view."""
        if key not in self._waiting:
            self._waiting.append(key)

    def discard(self, key: str) -> None:
        """Takes a job out of the queue, since its result is not wanted any more."""
        if key in self._waiting:
            if self._waiting[0] == key:
                self._drop_half_made()
            self._waiting.remove(key)

    def close(self) -> None:
        """Stops putting anything into the scene; what was half made goes."""
        self._drop_half_made()
        self._waiting.clear()

    def step(self, state: AppState, uncover: Callable[[str], None]) -> bool:
        """Does one thing that costs, if there is any: one map, or the material and its place.

        Args:
            uncover: takes the job's preview off its object.
        """
        for _ in range(len(self._waiting)):
            view = state.jobs.get(self._waiting[0])
            if view is None or not view.files:
                self.discard(self._waiting[0])
                continue
            try:
                if self._try(state, view, uncover):
                    return True
            except Exception as error:  # noqa: BLE001 - whatever it is, the job ends here and the next one has its turn
                problem = note_defect(state, "Putting a texture on its object", error)
                # The job says it, so that nothing else has to.
                state.problem = None if state.problem == problem else state.problem
                self._end(state, view, Phase.FAILED, problem)
                return True
        return False

    def _try(self, state: AppState, view: JobView, uncover: Callable[[str], None]) -> bool:
        """One thing for the foremost result; False where it has to wait, and another one is foremost now."""
        obj = find_object(view.object_uid, view.object_name)
        note = hindrance(view, obj)
        if not note and view.unwrap is not None:
            self._put_uvs(state, view, obj)
            return True
        if not note and view.reshapes:
            self._put_shape(state, view, obj, uncover)
            return True
        if not note:
            view.object_name = obj.name
            return self._advance(state, view, obj, uncover)
        if view.phase is not Phase.HELD or view.note != note:
            view.phase, view.note = Phase.HELD, note
            state.changed()
        # Another object's result need not wait for this one.
        self._drop_half_made()
        self._waiting.rotate(-1)
        return False

    def _put_uvs(self, state: AppState, view: JobView, obj: bpy.types.Object | None) -> None:
        try:
            if obj is None:
                raise SceneError(f"{view.object_name} is gone, so that its new UVs have no place.")
            view.note = put_new_uvs(view, obj)
        except SceneError as error:
            self._end(state, view, Phase.FAILED, Problem(error.text, error.fix or ""))
            return
        state.went_well()
        self._end(state, view, Phase.FINISHED)

    def _put_shape(self, state: AppState, view: JobView, obj: bpy.types.Object, uncover: Callable[[str], None]) -> None:
        with defect(state, "Taking a preview off"):
            uncover(view.key)
        try:
            view.note = put_shape(view, obj)
        except SceneError as error:
            self._end(state, view, Phase.FAILED, Problem(error.text, error.fix or ""))
            return
        state.went_well()
        self._end(state, view, Phase.FINISHED)

    def _drop_half_made(self) -> None:
        """Pictures that no version has would stay in the file until it is saved and opened again."""
        if self._builder is not None:
            builder, self._builder = self._builder, None
            builder.discard()

    def _advance(self, state: AppState, view: JobView, obj: bpy.types.Object, uncover: Callable[[str], None]) -> bool:
        state.changed()
        view.phase = Phase.APPLYING
        try:
            if self._builder is None:
                self._builder = VersionBuilder(obj, _facts(view), export_options(view.request))
                self._left = sorted(view.files, key=lambda file: (file.map, file.tile))
            if self._left:
                file = self._left.pop(0)
                self._builder.add_map(file.map, view.files[file], file.color_space, file.tile)
                return True
            with defect(state, "Taking a preview off"):
                uncover(view.key)
            if _shown(view):
                # That of a job that came after; its next frame brings it back, over what is shown by then.
                end_preview(obj)
            self._builder.finish(obj, apply=_shown(view))
        except SceneError as error:
            self._end(state, view, Phase.FAILED, Problem(error.text, error.fix or ""))
            return True
        self._builder = None
        phase, view.note = _ended(view)
        with defect(state, "Comparing UVs"):
            if _uvs_changed(obj):
                view.warning = f"The UVs of {obj.name} changed while its texture was made, so it lands in other places."
        # What was wrong before this went well is wrong no longer.
        state.went_well()
        self._end(state, view, phase)
        return True

    def _end(self, state: AppState, view: JobView, phase: Phase, problem: Problem | None = None) -> None:
        """The job is over, whatever else goes wrong."""
        self._waiting.popleft()
        view.phase, view.problem, view.files = phase, problem, {}
        state.changed()
        with defect(state, "Taking away what was half made"):
            # What is in the list of versions stays there.
            self._drop_half_made()
        with defect(state, "Forgetting a job that is over"):
            forget(view.key)
        if view.paints or phase is Phase.FINISHED:
            with defect(state, "Making an undo step"):
                _push_undo(_STEPS[_kind(view)])


def _kind(view: JobView) -> str:
    if view.reshapes:
        return "object" if view.of_no_object else "shape"
    return "texture" if view.unwrap is None else "unwrap"


def _uvs_changed(obj: bpy.types.Object) -> bool:
    """Whether the newest version is for other UVs than the object has by now."""
    version = obj.pgc.versions[-1]
    if obj.mode == "EDIT":
        obj.update_from_editmode()
    values = uv_values(obj.data, version.uv_map)
    return bool(version.uvs) and values is not None and uv_digest(values) != packed_digest(version.uvs)


def _facts(view: JobView) -> VersionFacts:
    request = view.request
    return VersionFacts(
        prompt=request.prompt,
        negative=request.negative,
        seed=request.seed,
        job=view.job or "",
        settings=request.settings,
        uvs=request.uvs,
        partial=view.partial,
        seconds=view.seconds,
        thumbnail=view.thumbnail,
    )


def _push_undo(message: str) -> None:
    """One step for the whole result: undo takes it away, redo brings it back."""
    windows = bpy.context.window_manager.windows
    if bpy.context.window is None and windows:
        # In a timer there is no window of its own.
        with bpy.context.temp_override(window=windows[0]):
            bpy.ops.ed.undo_push(message=message)
    else:
        bpy.ops.ed.undo_push(message=message)


def _ended(view: JobView) -> tuple[Phase, str]:
    if view.cancelling and not view.partial:
        return Phase.CANCELLED, "It had finished before the cancel arrived; the texture is kept as a version."
    if view.cancelling:
        return Phase.CANCELLED, "Cancelled. What was made so far is kept as a version."
    if view.partial:
        steps = f" after {view.step} of {view.steps} steps" if view.steps else ""
        return Phase.FINISHED, f"Stopped{steps}; what was made is kept."
    if view.request.waits:
        note = "It waits in the list of versions; click it to see it."
        return Phase.FINISHED, f"{view.note} {note}" if view.note else note
    return Phase.FINISHED, view.note or "Finished."
