# SPDX-License-Identifier: Apache-2.0
"""The extension in Blender with a client that only plays back: what the panel does on which event."""

import time
from dataclasses import dataclass, field
from typing import Any

import bpy
import numpy as np
from probes import _plane, _png, _ramp

ADDON = "blender_addon"


def enable() -> None:
    """An empty file with the extension in it."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert bpy.ops.preferences.addon_enable(module=ADDON) == {"FINISHED"}


def disable() -> None:
    """As at the end of Blender."""
    bpy.ops.preferences.addon_disable(module=ADDON)


@dataclass
class FakeClient:
    """What was asked of it is kept; `say` makes an event that the next tick finds."""

    alive: bool = True
    submitted: list[Any] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    attached: list[str] = field(default_factory=list)
    detached: list[str] = field(default_factory=list)
    closed: bool = False
    listed: int = 0

    def __post_init__(self) -> None:
        from blender_addon.client import EventQueue
        from blender_addon.model.preview_frames import FrameComposer

        self.events = EventQueue()
        self._compose = FrameComposer()

    def submit(self, spec: Any, arrays: Any, *, key: str) -> str:
        self.submitted.append((key, spec, arrays))
        return key

    def cancel(self, job: str) -> str:
        self.cancelled.append(job)
        return "request"

    def attach(self, job: str) -> None:
        self.attached.append(job)

    def list_jobs(self) -> str:
        self.listed += 1
        return "request"

    def detach(self, job: str) -> None:
        self.detached.append(job)

    def close(self) -> bool:
        self.closed, self.alive = True, False
        return True

    def say(self, *events: Any) -> None:
        for event in events:
            self.events.put(self._compose(event))


class Rig:
    """One plane, a prompt, a fake client that is connected."""

    def __init__(self, *, connected: bool = True, prompt: str = "red bricks") -> None:
        from blender_addon.client.events import Connected
        from blender_addon.protocol.records import ModelInfo
        from blender_addon.session import event_pump

        self.pump = event_pump
        self.obj = _plane("Shown")
        bpy.context.view_layer.objects.active = self.obj
        bpy.context.scene.pgc.prompt = prompt
        bpy.context.view_layer.update()
        self.fake = FakeClient()
        self.desk = event_pump.job_desk()
        self.desk.link.client = self.fake
        self.hello = Connected("pgc-server/1", "e" * 32, (ModelInfo("pocket", "installed"),), ("cpu",), ())
        if connected:
            self.fake.say(self.hello)
            self.tick()

    @property
    def state(self) -> Any:
        return self.desk.state

    def tick(self, count: int = 12) -> None:
        """Turns of the pump: each does one thing that costs."""
        for _ in range(count):
            self.pump.tick()

    def click(self) -> Any:
        """Generate; gives the job's view."""
        assert bpy.ops.pgc.generate() == {"FINISHED"}
        return self.state.newest()

    def run(self, job: str = "job-1", *, step: int = 3) -> Any:
        """Generate and let it run for some steps."""
        from blender_addon.client.events import JobAccepted, JobProgress, JobStateChanged
        from blender_addon.protocol.records import JobState

        view = self.click()
        self.fake.say(JobAccepted(job, view.key, JobState.QUEUED, 0, False))
        self.fake.say(JobStateChanged(job, view.key, JobState.RUNNING), JobProgress(job, step, 10, 7.0))
        self.tick()
        return view

    def preview(self, color: tuple[int, int, int] = (200, 30, 30), *, job: str = "job-1", **more: Any) -> None:
        """A preview of one colour arrives and is shown."""
        from blender_addon.client.events import JobPreview

        image = np.empty((8, 8, 3), np.uint8)
        image[:] = color
        self.fake.say(JobPreview(job, 1, 3, more.get("map", "base_color"), more.get("tile", 1001), image, 0))
        self.tick()

    def finish(self, view: Any, *, cancelled: bool = False, png: bytes | None = None) -> None:
        """The job's end with a map, and the ticks that put it into the scene."""
        from blender_addon.client.events import JobCancelled, JobFinished

        file, data = map_file(png)
        result = job_result(file)
        kind = JobCancelled if cancelled else JobFinished
        self.fake.say(kind(view.job, view.key, result, {file: data}, b"{}"))
        self.tick()

    def fail(self, view: Any, code: str) -> None:
        """The job's end with an error."""
        from blender_addon.client.events import JobFailed
        from blender_addon.protocol.errors import ErrorCode, Retry, WireError

        self.fake.say(JobFailed(view.job, view.key, WireError(ErrorCode(code), Retry.CHANGED, "This went wrong.")))
        self.tick()


def map_file(png: bytes | None = None) -> tuple[Any, bytes]:
    """A finished map of 16 x 16 pixels."""
    from blender_addon.protocol.arrays import DType
    from blender_addon.protocol.records import MapFile

    data = png if png is not None else _png(_ramp(16))
    return MapFile("base_color", 1001, 16, 16, 3, DType.U8, "srgb", "png", "0" * 64, len(data)), data


def job_result(file: Any) -> Any:
    """The result that names it."""
    from blender_addon.protocol.records import JobResult

    return JobResult((file,), "1" * 64, 5.0)


def materials(obj: bpy.types.Object) -> list[str | None]:
    """Names of the materials in the object's slots."""
    return [slot.material.name if slot.material else None for slot in obj.material_slots]


def wait(check: Any, seconds: float = 20.0) -> bool:
    """Poll until it holds."""
    end = time.monotonic() + seconds
    while not check() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(check())
