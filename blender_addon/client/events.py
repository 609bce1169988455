# SPDX-License-Identifier: Apache-2.0
"""What the client tells its owner: frozen dataclasses, one kind an event.

`key` is the submission's own name, made by the client; `job` is the server's name for the job. A request's `request`
is what the call that made it returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..protocol.errors import WireError
from ..protocol.limits import DEFAULT_LIMITS, Limits
from ..protocol.meshes import PreviewMesh
from ..protocol.messages import JobInfo, JobResult, JobState, MapFile, ModelInfo, StatusReport

__all__ = [
    "Acknowledged",
    "ClientFailed",
    "Connected",
    "Disconnected",
    "Downloading",
    "Event",
    "Fetched",
    "JobAccepted",
    "JobCancelled",
    "JobFailed",
    "JobFinished",
    "JobList",
    "JobNotice",
    "JobPreview",
    "JobProgress",
    "JobShapePreview",
    "JobStateChanged",
    "Metrics",
    "Refused",
    "RequestFailed",
    "ServerStartFailed",
    "ServerStarting",
    "ServerStatus",
    "Uploading",
]


@dataclass(frozen=True)
class ServerStarting:
    """No server runs: one was asked to start."""


@dataclass(frozen=True)
class ServerStartFailed:
    """The server could not be started; `text` is the last thing it said."""

    text: str


@dataclass(frozen=True)
class Connected:
    """Both channels stand. `jobs` are the user's jobs that the server keeps; `again`: it is another run of it."""

    server: str
    epoch: str
    models: tuple[ModelInfo, ...]
    devices: tuple[str, ...]
    jobs: tuple[JobInfo, ...]
    draining: bool = False
    again: bool = False
    maps: tuple[str, ...] = ("base_color",)
    """What jobs may ask for."""
    limits: Limits = DEFAULT_LIMITS
    """How large a job may be there; `protocol.job_size.refusal` tells what is too large before anything is sent."""


@dataclass(frozen=True)
class Disconnected:
    """The connection is lost or cannot be made; the client tries again in `retry_in` seconds by itself.

    `absent`: no server runs: there is no connection file, or nobody listens where it says.
    """

    reason: str
    retry_in: float
    absent: bool = False


@dataclass(frozen=True)
class Refused:
    """The server will not talk to this client: wrong key, wrong version. Nothing is tried until something changes."""

    error: WireError


@dataclass(frozen=True)
class Uploading:
    """`done` of `total` bytes of a submission are on the server; what it had already counts as done."""

    key: str
    done: int
    total: int


@dataclass(frozen=True)
class JobAccepted:
    """The server keeps the job from here on, whatever crashes."""

    job: str
    key: str
    state: JobState
    position: int
    duplicate: bool


@dataclass(frozen=True)
class JobStateChanged:
    """Queued, running, or another journaled change; the end of a job comes as an event of its own."""

    job: str
    key: str | None
    state: JobState
    position: int | None = None
    text: str | None = None


@dataclass(frozen=True)
class JobProgress:
    """`step` of `steps`; superseded by the next one of the same job."""

    job: str
    step: int
    steps: int
    eta_s: float | None = None


@dataclass(frozen=True)
class JobNotice:
    """A sentence for the artist."""

    job: str
    text: str


@dataclass(frozen=True, eq=False)
class JobPreview:
    """How a map looks now. `image` is [H, W, C] uint8, row 0 at the top; superseded by the next of its kind."""

    job: str
    seq: int
    step: int
    map: str
    tile: int
    image: npt.NDArray[np.uint8]
    cost: int = 0
    """Bytes of the server's credit that it used; given back when the preview is taken or superseded."""


@dataclass(frozen=True, eq=False)
class JobShapePreview:
    """How a shape looks now, in the space of the mesh that was sent; superseded by the next."""

    job: str
    seq: int
    step: int
    mesh: PreviewMesh
    cost: int = 0
    """As of `JobPreview`."""


@dataclass(frozen=True)
class Downloading:
    """`done` of `total` bytes of a finished job's maps are here."""

    job: str
    done: int
    total: int


@dataclass(frozen=True, eq=False)
class JobFinished:
    """Comes once a job. `maps` holds the bytes of each file of `result.maps`, checked against their hashes;
    `config` is the resolved configuration (JSON). Both are empty where the job was followed without download."""

    job: str
    key: str | None
    result: JobResult
    maps: Mapping[MapFile, bytes] = field(default_factory=dict[MapFile, bytes])
    config: bytes = b""


@dataclass(frozen=True)
class JobFailed:
    """The job will give no result. `job` is None where the server did not accept it."""

    job: str | None
    key: str | None
    error: WireError


@dataclass(frozen=True, eq=False)
class JobCancelled:
    """The job ended because someone asked for it. What it had made so far comes as in `JobFinished`, if anything."""

    job: str
    key: str | None
    result: JobResult | None = None
    maps: Mapping[MapFile, bytes] = field(default_factory=dict[MapFile, bytes])
    config: bytes = b""


@dataclass(frozen=True, eq=False)
class Fetched:
    """A file that was asked for, checked against its hash."""

    request: str
    sha256: str
    data: bytes


@dataclass(frozen=True)
class JobList:
    """All jobs of the user, as an answer to `list_jobs`."""

    request: str
    jobs: tuple[JobInfo, ...]


@dataclass(frozen=True)
class ServerStatus:
    """How the server is."""

    request: str
    report: StatusReport


@dataclass(frozen=True)
class Metrics:
    """The server's measurements as OpenMetrics text."""

    request: str
    text: str


@dataclass(frozen=True)
class Acknowledged:
    """A cancel, pause, resume, reorder, or the like was taken."""

    request: str


@dataclass(frozen=True)
class RequestFailed:
    """The server's answer to a request is an error."""

    request: str
    error: WireError


@dataclass(frozen=True)
class ClientFailed:
    """A defect of the client itself: its thread has ended. `text` says where."""

    text: str


Event: TypeAlias = (
    ServerStarting
    | ServerStartFailed
    | Connected
    | Disconnected
    | Refused
    | Uploading
    | JobAccepted
    | JobStateChanged
    | JobProgress
    | JobNotice
    | JobPreview
    | JobShapePreview
    | Downloading
    | JobFinished
    | JobFailed
    | JobCancelled
    | Fetched
    | JobList
    | ServerStatus
    | Metrics
    | Acknowledged
    | RequestFailed
    | ClientFailed
)


def superseded_by(event: Event) -> tuple[Any, ...] | None:
    """Says what an event is the newest state of: a later one with the same answer makes it worthless. None: never."""
    match event:
        case JobPreview():
            return ("preview", event.job, event.map, event.tile)
        case JobShapePreview():
            return ("shape", event.job)
        case JobProgress():
            return ("progress", event.job)
        case Uploading():
            return ("uploading", event.key)
        case Downloading():
            return ("downloading", event.job)
        case _:
            return None
