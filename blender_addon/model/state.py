# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel shows: the server, the jobs, and the one problem at hand. Plain data, without Blender.

`reducer` applies the client's events to it; draw code and operators read it.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..client import MapFile
from ..protocol.limits import Limits
from ..protocol.records import JobInfo, ModelInfo
from ..protocol.specs.job import NEW_SHAPE, NEW_UVS

__all__ = ["AppState", "JobRequest", "JobView", "Phase", "Problem", "ServerState", "ServerView", "UnwrapTask"]


class ServerState(enum.Enum):
    """How the server is, as far as is known here."""

    UNKNOWN = "unknown"
    """Not asked yet."""
    ABSENT = "absent"
    """None runs."""
    STARTING = "starting"
    CONNECTING = "connecting"
    """It was there; the client tries again by itself."""
    READY = "ready"
    REFUSED = "refused"
    """It is there and does not want us, or Blender may not talk to it."""
    BROKEN = "broken"
    """The connection's thread has ended by a defect."""


class Phase(enum.Enum):
    """Where a job is."""

    UPLOADING = "uploading"
    QUEUED = "queued"
    RUNNING = "running"
    RECEIVING = "receiving"
    FOUND = "found"
    """Known from the .blend, not heard of yet."""
    APPLYING = "applying"
    HELD = "held"
    """Its result is here, but cannot be put on the object now; `JobView.note` says why."""
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self in (Phase.FINISHED, Phase.FAILED, Phase.CANCELLED)


@dataclass(frozen=True)
class Problem:
    """A sentence for the artist, and what mends it.

    Args:
        text: what is the matter and what to do, in one or two sentences.
        operator: bl_idname of the operator that mends it; "" where only a person can.
        label: text of its button; "" takes the operator's own.
        options: properties of the operator.
    """

    text: str
    operator: str = ""
    label: str = ""
    options: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """What was asked for: kept in the .blend too, so that a job is found again.

    Args:
        target: "object", "selected_faces" or "slot".
        faces: the targeted polygons, packed (`scene.face_sets`); "" where all are.
        settings: the rest of the panel's choices, as JSON.
        uvs: what the object had then, packed (`uv_packing`); "" where nobody knows.
        waits: the result becomes a version that is not shown until it is clicked, as a further variation does.
        shape: of a job for a new shape: its mesh as it was sent (`conditions.shapes.ShapeTask`); "" of all others.
    """

    prompt: str
    negative: str = ""
    seed: int = 0
    model: str = "pocket"
    preset: str = "standard"
    texture_size: int = 0
    uv_map: str = ""
    target: str = "object"
    slot: int = 0
    faces: str = ""
    settings: str = "{}"
    uvs: str = ""
    waits: bool = False
    shape: str = ""


@dataclass(frozen=True, kw_only=True)
class UnwrapTask:
    """New UVs that the server makes.

    Args:
        digest: of the mesh as it was sent (`scene.new_uvs.mesh_digest`).
        before: the UV map that was active; fill: only faces without UVs in it get new ones.
        triangles: of the mesh, which the time that it takes depends on.
    """

    digest: str
    before: str
    fill: bool
    triangles: int


@dataclass
class JobView:
    """A job as the panel shows it.

    Args:
        key: made by the client; the same in the .blend and on the server.
        object_name: of its object when last seen; object_uid: its `session_uid`.
        job: the server's name for it, once it has accepted it.
    """

    key: str
    request: JobRequest
    object_name: str
    object_uid: int
    phase: Phase = Phase.UPLOADING
    job: str | None = None
    fraction: float = 0.0
    """Of the upload or the download."""
    position: int = 0
    step: int = 0
    steps: int = 0
    eta_s: float | None = None
    cancelling: bool = False
    """Cancel was clicked: the old look is back, what was made is still to come, as a version that is not shown."""
    stopping: bool = False
    """Stop and Keep was clicked: what was made is still to come, and is shown."""
    note: str = ""
    """A sentence from the server, or why a result waits."""
    warning: str = ""
    """What may not be meant so, known when it was sent; the server's notes do not replace it."""
    problem: Problem | None = None
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    thumbnail: npt.NDArray[np.uint8] | None = None
    """The last preview of the base colour, [H, W, C], row 0 at the top."""
    files: Mapping[MapFile, bytes] = field(default_factory=dict[MapFile, bytes])
    """Maps that wait to be put into the scene."""
    config: bytes = b""
    partial: bool = False
    nothing_kept: bool = False
    """It was cancelled, and the server has no result of it."""
    unwrap: UnwrapTask | None = None
    """It makes no texture, but a UV map."""

    @property
    def reshapes(self) -> bool:
        """Whether it makes a new mesh."""
        return bool(self.request.shape)

    @property
    def paints(self) -> bool:
        """Whether it makes a texture."""
        return self.unwrap is None and not self.reshapes

    @property
    def of_no_object(self) -> bool:
        """Whether it began from the prompt alone, so that what came of it is told beside any object."""
        return self.object_uid < 0

    @property
    def live(self) -> bool:
        """Whether something of it is still to come."""
        return not self.phase.ended

    @property
    def stoppable(self) -> bool:
        """Whether there is something that Stop and Keep could keep."""
        made = self.phase is Phase.RUNNING and self.step > 0 and self.unwrap is None
        return made and self.job is not None and not (self.stopping or self.cancelling)

    @property
    def progress(self) -> float:
        """0 to 1, of what the phase is about."""
        if self.phase in (Phase.UPLOADING, Phase.RECEIVING):
            return self.fraction
        if self.phase in (Phase.APPLYING, Phase.HELD, Phase.FINISHED):
            return 1.0
        return min(1.0, self.step / self.steps) if self.steps else 0.0


@dataclass
class ServerView:
    """The server as the panel shows it."""

    state: ServerState = ServerState.UNKNOWN
    problem: Problem | None = None
    """Why it is not ready, and the one button that mends it."""
    name: str = ""
    devices: tuple[str, ...] = ()
    models: tuple[ModelInfo, ...] = ()
    maps: tuple[str, ...] = ("base_color",)
    """The maps that it can make, as far as is known; new UVs are among them ("corner_uvs"), which are no picture."""
    limits: Limits | None = None
    """How large a job may be there; None: it has not said."""
    draining: bool = False
    jobs: tuple[JobInfo, ...] = ()
    """This user's, as the server told last."""

    @property
    def textures(self) -> tuple[str, ...]:
        """Those of its maps that are pictures: what a version may be made of."""
        return tuple(name for name in self.maps if name not in (NEW_UVS, NEW_SHAPE))

    @property
    def ready(self) -> bool:
        """Whether it takes jobs."""
        return self.state is ServerState.READY and not self.draining

    def model(self, key: str) -> ModelInfo | None:
        """Returns what the server says of a model; None where it has said nothing."""
        return next((model for model in self.models if model.key == key), None)


@dataclass
class AppState:
    """All of it. Kept outside the .blend: it belongs to this Blender, not to a file."""

    server: ServerView = field(default_factory=ServerView)
    jobs: dict[str, JobView] = field(default_factory=dict[str, JobView])
    """By key, oldest first."""
    problem: Problem | None = None
    """What went wrong with the last click, where no job is to blame."""
    problem_mode: str = ""
    """The active object's mode in that moment."""
    seconds_per_step: dict[tuple[str, int, bool], float] = field(default_factory=dict[tuple[str, int, bool], float])
    """By model, texture size, and whether there was light, as the last job took."""
    steps: dict[tuple[str, str, bool], int] = field(default_factory=dict[tuple[str, str, bool], int])
    """By model, preset, and whether there was light, as the last job was told."""
    defects: set[str] = field(default_factory=set[str])
    """What has gone wrong by a defect of ours and been told of (`defects`)."""
    revision: int = 0
    """Grows with each change that the panel shows."""

    def changed(self) -> None:
        """Notes that the panel has something new to show."""
        self.revision += 1

    def show_problem(self, problem: Problem | None, mode: str = "") -> None:
        """Takes over what the last click came to; None: it went well."""
        self.problem, self.problem_mode = problem, mode
        self.changed()

    def went_well(self) -> None:
        """Takes note that a click led to what it was for: what was wrong before is wrong no longer, unless it is a
        defect of ours.
        """
        if self.problem is not None and self.problem.operator != "pgc.copy_report":
            self.show_problem(None)

    def mode_is(self, mode: str) -> None:
        """Takes note of the active object's mode now: what was said in Edit Mode or while painting goes when that is
        left.
        """
        if self.problem is not None and self.problem_mode not in ("", "OBJECT", mode):
            self.show_problem(None)

    def job_of(self, job: str | None) -> JobView | None:
        """Returns the job with the server's name for it."""
        return next((view for view in self.jobs.values() if job and view.job == job), None)

    def latest_for(self, object_uid: int) -> JobView | None:
        """Returns the newest job of an object."""
        return next((view for view in reversed(self.jobs.values()) if view.object_uid == object_uid), None)

    def all_live_for(self, object_uid: int) -> list[JobView]:
        """Returns the jobs of an object that go on: what is made, what is finished and held, what waits, each in the
        order of asking; a cancelled one is nobody's any more.
        """
        mine = [view for view in self.live() if view.object_uid == object_uid and not view.cancelling]
        waiting = (Phase.UPLOADING, Phase.QUEUED, Phase.FOUND)
        return sorted(mine, key=lambda view: 2 if view.phase in waiting else int(view.phase is Phase.HELD))

    def live_for(self, object_uid: int) -> JobView | None:
        """Returns the foremost job of an object that goes on."""
        return next(iter(self.all_live_for(object_uid)), None)

    def live(self) -> list[JobView]:
        """Returns all jobs that go on, oldest first."""
        return [view for view in self.jobs.values() if view.live]

    def forget_oldest(self, most: int = 40) -> None:
        """Lets go of the oldest jobs that have ended, so that a long session does not fill up."""
        ended = [key for key, view in self.jobs.items() if not view.live]
        for key in ended[:-most]:
            del self.jobs[key]

    def newest(self) -> JobView | None:
        """Returns the job that was asked for last."""
        return next(reversed(self.jobs.values()), None)
