# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of this Blender, and what the server's news of them do to the scene. Main thread only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy.typing as npt

from ..client import Client, ServerStarter, TextureJobSpec
from ..model.conditions.shapes import FROM_PROMPT, NOWHERE, ShapeTask
from ..model.defects import defect, note_defect
from ..model.preview_frames import PreviewFrame
from ..model.problems import forgotten_problem
from ..model.recent_results import fetched_request, named_shape
from ..model.reducer import (
    Deliver,
    Effect,
    Ended,
    Follow,
    Remember,
    SendCancel,
    ShowPreview,
    ShowShape,
    cancelled_by_artist,
    failed_by_defect,
    reduce_event,
    stopped_by_artist,
)
from ..model.state import AppState, JobView, Phase, Problem, ServerState
from ..scene.meshes.uv_watch import UvWatch
from ..scene.painting.mask_brush import MaskBrush
from ..scene.painting.mask_display import follow_painting
from ..scene.painting.painted_versions import PaintWatch
from ..scene.preview_material import remove_unused
from . import jobs_in_blend
from .delivery import Deliveries, rendering
from .previews import Previews
from .progress_icon import ProgressIcons
from .server_link import ServerLink

__all__ = ["JobDesk"]


class JobDesk:
    """Jobs, their pictures, and the way to the server. The pump calls `tick`, operators and handlers call the rest.

    Args:
        connection: gives the place of the connection file, which the preferences may change.
    """

    def __init__(self, connection: Callable[[], Path]) -> None:
        self.state = AppState()
        self.previews = Previews()
        self.deliveries = Deliveries()
        self.icons = ProgressIcons()
        self.brush = MaskBrush()
        self.uvs = UvWatch()
        self.strokes = PaintWatch()
        self.saved: set[str] = set()
        """Keys of jobs that the file on disk knows."""
        self.undone = False
        """Set by the undo handlers: what the .blend says of jobs is to be brought up to date."""
        self.link = ServerLink(self.state, connection)

    # The connection.

    def connect(self) -> Client | None:
        """Returns the client; see `ServerLink.connect`."""
        return self.link.connect()

    def reconnect(self) -> None:
        """Makes a new client: after a defect, or for another connection file. Jobs that the server still has are
        followed on.
        """
        client = self.link.renew()
        for view in self.state.live():
            if view.phase in (Phase.APPLYING, Phase.HELD):
                continue
            if view.job is None:
                view.phase, view.problem = Phase.FAILED, forgotten_problem()
                self._perform(Ended(view.key))
            elif client is not None:
                client.attach(view.job)

    def close(self) -> None:
        """Ends the thread and takes previews off; jobs go on on the server."""
        self.link.hang_up()
        for end in (self.icons.close, self.deliveries.close, self.previews.take_off, remove_unused):
            with defect(self.state, "Ending the session"):
                end()
        self.link.close()

    def start_server(self, starter: ServerStarter) -> None:
        """Makes a server come up; `tick` watches it. Raises OSError where not even that works."""
        if self.link.start_server(starter):
            self.reconnect()
        self.connect()

    # Jobs.

    def submit(self, view: JobView, spec: TextureJobSpec, arrays: Mapping[str, npt.NDArray[Any]]) -> bool:
        """Sends a job; the panel follows it from here on. Returns False where there may be no connection."""
        client = self.connect()
        if client is None:
            return False
        client.submit(spec, arrays, key=view.key)
        self.state.jobs[view.key] = view
        self.state.forget_oldest()
        self.state.problem = None
        self.state.changed()
        with defect(self.state, "Noting a job in the file"):
            jobs_in_blend.note(view)
        return True

    def cancel(self, key: str) -> None:
        """Cancels a job, as the artist's click on Cancel."""
        if self.state.jobs.get(key) is not None and self.state.jobs[key].phase is Phase.HELD:
            self.deliveries.discard(key)
        self._perform_all(cancelled_by_artist(self.state, key))

    def stop_and_keep(self, key: str) -> None:
        """Ends a job and keeps what there is, as the artist's click on Stop and Keep."""
        self._perform_all(stopped_by_artist(self.state, key))

    def fetch(self, key: str, job: str, obj: bpy.types.Object | None) -> None:
        """Makes the result of a job that has ended come once more, for this object; a new shape needs none."""
        client, known = self.connect(), self.state.jobs.pop(key, None)
        if client is None:
            return
        same = None if obj is None else known is not None and known.object_uid == obj.session_uid
        shape = named_shape(self.state, job)
        request = fetched_request(known.request if known is not None else None, same, shape is not None)
        task = ShapeTask.read(request.shape)
        if obj is None or (task is not None and task.imagined):
            name, uid = shape or FROM_PROMPT, NOWHERE
        else:
            name, uid = obj.name, obj.session_uid
        self.state.jobs[key] = JobView(key, request, name, uid, Phase.FOUND, job)
        self.state.show_problem(None)
        client.detach(job)
        client.attach(job)

    def retarget(self, key: str, obj: bpy.types.Object) -> None:
        """Puts a result whose object is gone onto another object."""
        view = self.state.jobs[key]
        view.object_name, view.object_uid = obj.name, obj.session_uid
        self.state.changed()

    def adopt(self, views: Sequence[JobView]) -> None:
        """Follows the jobs that the open file has again; those that only a closed file had are let go.

        A job of a file that was never saved with it can never be found again, and is cancelled.
        """
        old = self.state.jobs
        self.state.jobs = {view.key: view for view in views}
        for view in old.values():
            if view.key in self.state.jobs or not view.live:
                continue
            self.previews.end(view.key)
            self.deliveries.discard(view.key)
            client = self.link.client
            if client is None:
                continue
            if view.key not in self.saved and view.job is not None:
                client.cancel(view.job)
            elif view.job is not None:
                client.detach(view.job)
        self.saved = set(self.state.jobs)
        self.state.problem = None
        self.state.changed()
        client = self.connect() if views else None
        for view in views:
            if client is not None and view.job is not None:
                # From the start: what came before is in the file's past.
                client.detach(view.job)
                client.attach(view.job)

    @property
    def busy(self) -> bool:
        """Whether the next turn should come soon."""
        return bool(self.state.live()) or self.state.server.state in (ServerState.STARTING, ServerState.CONNECTING)

    # The main thread's turn.

    def tick(self, budget: float) -> bool:
        """Handles events for at most `budget` seconds, and one thing that costs; returns whether the panel has news.

        No part of it keeps another from its turn: what raises is told of in the panel.
        """
        end = time.perf_counter() + budget
        before = self.state.revision
        with defect(self.state, "Watching the server's start"):
            self.link.look()
        if self.undone:
            self.undone = False
            self.uvs.forget()
            with defect(self.state, "Taking previews off after an undo"):
                self.previews.take_off_strangers(self.state)
            with defect(self.state, "Noting jobs after an undo"):
                jobs_in_blend.note_all(self.state)
        with defect(self.state, "Reading what the server says"):
            self._take_events(end)
        self._step()
        with defect(self.state, "Watching the connection"):
            self.link.watch()
        return self.state.revision != before

    def _take_events(self, end: float) -> None:
        while time.perf_counter() < end:
            event = self.link.next_event()
            if event is None:
                return
            try:
                effects = reduce_event(self.state, event)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next event is not to wait for ever
                problem = note_defect(self.state, f"Understanding {type(event).__name__}", error)
                effects = failed_by_defect(self.state, event, problem)
            self._perform_all(effects)

    def _step(self) -> None:
        """One thing that costs: a part of a result, or else a preview. Nothing while Blender renders."""
        try:
            idle = not rendering()
            with defect(self.state, "Following the active object"):
                self._follow(bpy.context.view_layer.objects.active, idle)
            if not idle:
                return
            if self.deliveries.step(self.state, self.previews.end):
                return
        except Exception as error:  # noqa: BLE001 - whatever it is, no job is to wait for ever
            problem = note_defect(self.state, "Putting textures on objects", error)
            for view in self.state.live():
                if view.phase is Phase.APPLYING:
                    self._fail(view.key, problem)
            return
        try:
            self.previews.step(self.state)
        except Exception as error:  # noqa: BLE001 - a preview that cannot be shown must not cost the result
            note_defect(self.state, "Showing a preview", error)
            self.previews.give_up()

    def _follow(self, active: bpy.types.Object | None, idle: bool) -> None:
        """What the active object's mode and UVs say; `idle`: the scene may change."""
        self.state.mode_is(active.mode if active is not None else "OBJECT")
        if self.uvs.look(active) or self.strokes.look(active):
            self.state.changed()
        if idle:
            self.brush.follow(active)
            follow_painting(active)

    def _perform_all(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            try:
                self._perform(effect)
            except Exception as error:  # noqa: BLE001 - the next effect has its turn all the same
                problem = note_defect(self.state, f"Following the server's news ({type(effect).__name__})", error)
                if isinstance(effect, Deliver):
                    self._fail(effect.key, problem)

    def _fail(self, key: str, problem: Problem) -> None:
        """A job's result cannot be put anywhere by a defect of ours: it ends here, and its box in the panel says so."""
        self.deliveries.discard(key)
        view = self.state.jobs[key]
        view.phase, view.problem, view.files = Phase.FAILED, problem, {}
        self.state.problem = None if self.state.problem == problem else self.state.problem
        self.state.changed()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Remember():
                jobs_in_blend.note(self.state.jobs[effect.key])
            case ShowPreview():
                self._show(effect)
            case ShowShape():
                self.previews.put_shape(effect.key, effect.preview.mesh)
            case Deliver():
                self.deliveries.add(effect.key)
                with defect(self.state, "Asking for recent results"):
                    self.link.list_jobs()
            case Ended():
                for end in (self.previews.end, self.icons.drop, jobs_in_blend.forget):
                    with defect(self.state, "Ending a job"):
                        end(effect.key)
                with defect(self.state, "Asking for recent results"):
                    self.link.list_jobs()
            case SendCancel() | Follow():
                self.link.ask(effect)

    def _show(self, effect: ShowPreview) -> None:
        # What will not be shown at its end is not shown before it: the panel's small picture is enough.
        if isinstance(effect.preview, PreviewFrame) and not self.state.jobs[effect.key].request.waits:
            self.previews.put(effect.key, effect.preview)
        if effect.preview.map == "base_color":
            self.icons.show_job(self.state.jobs[effect.key], effect.preview.image)
