# SPDX-License-Identifier: GPL-3.0-or-later
"""The one client of this Blender, and what its events do to the scene. Main thread only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import bpy

from .client import Client
from .client.events import (
    ClientFailed,
    Connected,
    Disconnected,
    Event,
    JobAccepted,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobPreview,
    JobProgress,
    Refused,
    Uploading,
)
from .protocol.errors import WireError
from .scene.errors import SceneError
from .scene.images import new_packed_image, new_preview_image, show_preview
from .scene.materials import PreviousMaterials, apply_version, build_material, restore_previous
from .scene.mesh_export import ExportOptions

__all__ = ["Session", "Target"]


@dataclass(frozen=True)
class Target:
    """Where a job's result goes."""

    obj: bpy.types.Object
    options: ExportOptions
    uv_map: str
    prompt: str
    seed: int


class Session:
    """Connection and the job under way. `handle` is called with each event, by the pump."""

    def __init__(self, connection: Path) -> None:
        self.client = Client(connection)
        self._targets: dict[str, Target] = {}
        self._jobs: dict[str, str] = {}

    def close(self) -> None:
        """End the thread; the job goes on on the server."""
        self.client.close()

    def watch(self, key: str, target: Target) -> None:
        """Remember where the result of a submission goes."""
        self._targets[key] = target

    def handle(self, event: Event) -> None:
        """Do what an event asks for."""
        state = bpy.context.window_manager.pgc
        match event:
            case Connected():
                state.server = event.server
            case Disconnected():
                state.server, state.message = "", event.reason
            case JobAccepted():
                self._jobs[event.job] = event.key
                state.state, state.job = "queued", event.job
            case Uploading():
                state.state, state.step, state.steps = "uploading", event.done >> 10, event.total >> 10
            case JobProgress():
                state.state, state.step, state.steps = "running", event.step, event.steps
                state.eta = -1.0 if event.eta_s is None else event.eta_s
            case JobPreview():
                self._preview(event)
            case _:
                self._maybe_end(event)

    def _maybe_end(self, event: Event) -> None:
        match event:
            case JobFinished():
                self._finished(event)
            case JobCancelled():
                self._ended("idle", "Cancelled.")
            case JobFailed() | Refused():
                self._failed(event.error)
            case ClientFailed():
                self._ended("failed", "The connection's thread has ended; disable and enable the extension.")
            case _:
                pass

    def _preview(self, event: JobPreview) -> None:
        state = bpy.context.window_manager.pgc
        height, width = event.image.shape[:2]
        image = state.preview
        if image is None or tuple(image.size) != (width, height):
            if image is not None:
                bpy.data.images.remove(image)
            image = new_preview_image("PGC Preview", width, height)
            state.preview = image
        show_preview(image, event.image[..., :3])

    def _finished(self, event: JobFinished) -> None:
        target = self._targets.pop(event.key or self._jobs.get(event.job, ""), None)
        if target is None or not _is_there(target.obj):
            self._ended("done", "The texture is finished, but its object is gone; the server keeps it.")
            return
        try:
            _apply(target, event)
        except SceneError as error:
            self._ended("failed", error.text, error.fix or "")
            return
        self._ended("done", "Finished.")

    def _failed(self, error: WireError) -> None:
        self._ended("failed", f"{error.text} {error.hint or ''}".strip())

    def _ended(self, state_name: str, message: str, fix: str = "") -> None:
        state = bpy.context.window_manager.pgc
        state.state, state.message, state.fix, state.job = state_name, message, fix, ""
        if state.preview is not None:
            bpy.data.images.remove(state.preview)


def _is_there(obj: bpy.types.Object) -> bool:
    try:
        return obj.name in bpy.data.objects
    except ReferenceError:
        return False


def _apply(target: Target, event: JobFinished) -> None:
    obj = target.obj
    images = {
        file.map: new_packed_image(f"{obj.name} {file.map} {target.prompt[:30]}", data, file.color_space)
        for file, data in event.maps.items()
    }
    material = build_material(f"{obj.name}: {target.prompt[:40]}", images, target.uv_map)
    material.use_fake_user = True
    if obj.pgc.previous:
        restore_previous(obj, previous_of(obj))
    previous = apply_version(obj, material, target.options)
    obj.pgc.previous = json.dumps(asdict(previous))
    version = obj.pgc.versions.add()
    version.name, version.prompt, version.seed, version.job = target.prompt[:40], target.prompt, target.seed, event.job
    version.image, version.material = images.get("base_color"), material
    obj.pgc.active_version = len(obj.pgc.versions) - 1


def previous_of(obj: bpy.types.Object) -> PreviousMaterials:
    """What an object showed before its first version."""
    data = json.loads(obj.pgc.previous)
    faces = data["polygon_materials"]
    return PreviousMaterials(
        slots=tuple((link, name) for link, name in data["slots"]),
        polygon_materials=None if faces is None else tuple(faces),
    )
