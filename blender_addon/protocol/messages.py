# SPDX-License-Identifier: Apache-2.0
"""Every message of the protocol. PROTOCOL.md says who sends what, when, on which channel."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from blender_addon.protocol.arrays import DType, check_hash
from blender_addon.protocol.errors import FieldError, WireError
from blender_addon.protocol.job_spec import TextureJobSpec
from blender_addon.protocol.limits import DEFAULT_LIMITS, Limits

__all__ = [
    "MESSAGES",
    "Accepted",
    "Attach",
    "BlobNeed",
    "BlobOk",
    "BlobProgress",
    "BlobPut",
    "BlobQuery",
    "Bye",
    "Cancel",
    "Chunk",
    "Credit",
    "Detach",
    "Done",
    "Drain",
    "Error",
    "Event",
    "EventKind",
    "FreeGpu",
    "Get",
    "Hello",
    "JobEvent",
    "JobInfo",
    "JobResult",
    "JobState",
    "Jobs",
    "ListJobs",
    "MapFile",
    "Message",
    "Metrics",
    "MetricsText",
    "ModelInfo",
    "Pause",
    "Ping",
    "Pong",
    "Preview",
    "PreviewCodec",
    "Reject",
    "Reorder",
    "ResultAck",
    "Resume",
    "Snapshot",
    "Status",
    "StatusReport",
    "Submit",
    "Welcome",
]  # fmt: skip


def check_id(name: str, value: str | None) -> None:
    """Raise FieldError unless `value` is 32 lower-case hexadecimal digits, or None."""
    if value is not None and (len(value) != 32 or not set("0123456789abcdef").issuperset(value)):
        raise FieldError(name, "Expected an id of 32 lower-case hexadecimal digits.")


def _not_negative(name: str, value: int) -> None:
    if value < 0:
        raise FieldError(name, f"Got {value}; expected 0 or more.")


class JobState(enum.StrEnum):
    """queued -> running -> one of the three terminal states; running -> queued after a crash."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class EventKind(enum.StrEnum):
    """What an event tells: STATE and NOTICE are kept and numbered, PROGRESS is not."""

    STATE = "state"
    PROGRESS = "progress"
    NOTICE = "notice"


class PreviewCodec(enum.StrEnum):
    """Pixels of a preview, rows from the top: as they are, or in a zlib stream."""

    RAW_U8 = "raw_u8"
    ZLIB_U8 = "zlib_u8"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A prior that the server knows; state: installed, missing (needs a download), too_big (for its GPU)."""

    key: str
    state: Literal["installed", "missing", "too_big"]
    note: str = ""
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MapFile:
    """A finished map of one UDIM tile; fetch it by `sha256` with GET. Row 0 is at the top."""

    map: str
    tile: int
    width: int
    height: int
    channels: int
    dtype: DType
    color_space: Literal["srgb", "linear"]
    codec: Literal["png", "raw"]
    sha256: str
    bytes: int

    def __post_init__(self) -> None:
        check_hash("sha256", self.sha256)


@dataclass(frozen=True, slots=True)
class JobResult:
    """All that a job made. `config_json_sha256`: blob of the resolved configuration, versions and seed, as JSON."""

    maps: tuple[MapFile, ...]
    config_json_sha256: str
    seconds: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job as it stands. created: seconds since 1970; position: jobs before it in the queue."""

    job: str
    key: str
    state: JobState
    position: int = 0
    step: int = 0
    steps: int = 0
    attempt: int = 0
    created: float = 0.0
    name: str = ""
    error: WireError | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job. seq: see PROTOCOL.md; eta_s: seconds left, as far as known."""

    job: str
    seq: int
    kind: EventKind
    state: JobState
    step: int = 0
    steps: int = 0
    eta_s: float | None = None
    text: str | None = None
    error: WireError | None = None
    result: JobResult | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    """First message on each channel. protocols: (major, highest minor) that the client speaks, best first."""

    TYPE: ClassVar[str] = "HELLO"
    protocols: tuple[tuple[int, int], ...]
    client: str
    session: str | None = None

    def __post_init__(self) -> None:
        check_id("session", self.session)


@dataclass(frozen=True, slots=True)
class Welcome:
    """Answer to HELLO. jobs: this user's."""

    TYPE: ClassVar[str] = "WELCOME"
    protocol: tuple[int, int]
    server: str
    session: str
    bulk_port: int
    limits: Limits = DEFAULT_LIMITS
    models: tuple[ModelInfo, ...] = ()
    devices: tuple[str, ...] = ()
    jobs: tuple[JobInfo, ...] = ()
    draining: bool = False

    def __post_init__(self) -> None:
        check_id("session", self.session)


@dataclass(frozen=True, slots=True)
class Reject:
    """Answer to a HELLO that cannot be served."""

    TYPE: ClassVar[str] = "REJECT"
    error: WireError


@dataclass(frozen=True, slots=True)
class Ping:
    """Is the application there? Answered by PONG with the same number."""

    TYPE: ClassVar[str] = "PING"
    n: int


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer to PING."""

    TYPE: ClassVar[str] = "PONG"
    n: int


@dataclass(frozen=True, slots=True)
class Bye:
    """This side ends the connection. Jobs go on."""

    TYPE: ClassVar[str] = "BYE"


@dataclass(frozen=True, slots=True)
class Submit:
    """A job. key: made by the client, once a job; the same key with the same spec gives the same job again."""

    TYPE: ClassVar[str] = "SUBMIT"
    key: str
    spec: TextureJobSpec

    def __post_init__(self) -> None:
        check_id("key", self.key)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The job is on the server's disk and will reach exactly one terminal state."""

    TYPE: ClassVar[str] = "ACCEPTED"
    job: str
    key: str
    state: JobState
    position: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Attach:
    """Follow a job: SNAPSHOT at once, then its events and previews."""

    TYPE: ClassVar[str] = "ATTACH"
    job: str
    after_seq: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The job now, its kept events after `after_seq`, and its result where it has one."""

    TYPE: ClassVar[str] = "SNAPSHOT"
    info: JobInfo
    events: tuple[JobEvent, ...] = ()
    result: JobResult | None = None


@dataclass(frozen=True, slots=True)
class Detach:
    """Follow the job no longer."""

    TYPE: ClassVar[str] = "DETACH"
    job: str


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a job that this session follows."""

    TYPE: ClassVar[str] = "EVENT"
    event: JobEvent


@dataclass(frozen=True, slots=True)
class Credit:
    """The receiver has room for so many more bytes of previews."""

    TYPE: ClassVar[str] = "CREDIT"
    bytes: int

    def __post_init__(self) -> None:
        _not_negative("bytes", self.bytes)


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture of one tile of one map as it is now; its bytes are the buffers, joined."""

    TYPE: ClassVar[str] = "PREVIEW"
    job: str
    seq: int
    step: int
    map: str
    tile: int
    width: int
    height: int
    channels: int
    codec: PreviewCodec = PreviewCodec.RAW_U8


@dataclass(frozen=True, slots=True)
class BlobQuery:
    """Which of these blobs does the server lack?"""

    TYPE: ClassVar[str] = "BLOB_QUERY"
    hashes: tuple[str, ...]

    def __post_init__(self) -> None:
        for index, value in enumerate(self.hashes):
            check_hash(f"hashes[{index}]", value)


@dataclass(frozen=True, slots=True)
class BlobProgress:
    """A blob that is not complete, and how many of its bytes are there, from its start."""

    sha256: str
    received: int


@dataclass(frozen=True, slots=True)
class BlobNeed:
    """Answer to BLOB_QUERY."""

    TYPE: ClassVar[str] = "BLOB_NEED"
    missing: tuple[BlobProgress, ...] = ()


@dataclass(frozen=True, slots=True)
class BlobPut:
    """A piece of a blob of `size` bytes, from `offset`; the piece is the one buffer."""

    TYPE: ClassVar[str] = "BLOB_PUT"
    sha256: str
    size: int
    offset: int

    def __post_init__(self) -> None:
        check_hash("sha256", self.sha256)
        _not_negative("offset", self.offset)
        if not 0 <= self.size <= DEFAULT_LIMITS.blob:
            raise FieldError("size", f"Got {self.size} bytes; expected 0 to {DEFAULT_LIMITS.blob}.")
        if self.offset > self.size:
            raise FieldError("offset", f"Got {self.offset}; expected at most the size, {self.size}.")


@dataclass(frozen=True, slots=True)
class BlobOk:
    """Answer to BLOB_PUT. window: bytes that the client may have under way, all blobs together."""

    TYPE: ClassVar[str] = "BLOB_OK"
    sha256: str
    received: int
    complete: bool
    window: int


@dataclass(frozen=True, slots=True)
class Get:
    """A piece of a blob, please. What is asked for and not answered yet is the client's window."""

    TYPE: ClassVar[str] = "GET"
    sha256: str
    offset: int
    length: int

    def __post_init__(self) -> None:
        check_hash("sha256", self.sha256)
        _not_negative("offset", self.offset)
        if not 1 <= self.length <= DEFAULT_LIMITS.get:
            raise FieldError("length", f"Got {self.length}; expected 1 to {DEFAULT_LIMITS.get} bytes.")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Answer to GET: the piece is the one buffer; total: the blob's size."""

    TYPE: ClassVar[str] = "CHUNK"
    sha256: str
    offset: int
    total: int


@dataclass(frozen=True, slots=True)
class ResultAck:
    """The client has the result; the server may forget the job's checkpoints."""

    TYPE: ClassVar[str] = "RESULT_ACK"
    job: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """End a job; what it has made so far becomes its result, where there is anything."""

    TYPE: ClassVar[str] = "CANCEL"
    job: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Keep a queued job from starting."""

    TYPE: ClassVar[str] = "PAUSE"
    job: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Let a paused job start again."""

    TYPE: ClassVar[str] = "RESUME"
    job: str


@dataclass(frozen=True, slots=True)
class Reorder:
    """Put a queued job before another of the same user; None: at the end of this user's jobs."""

    TYPE: ClassVar[str] = "REORDER"
    job: str
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """Yes, to a request that has no other answer."""

    TYPE: ClassVar[str] = "DONE"


@dataclass(frozen=True, slots=True)
class ListJobs:
    """Which jobs are there?"""

    TYPE: ClassVar[str] = "LIST"


@dataclass(frozen=True, slots=True)
class Jobs:
    """Answer to LIST: this user's jobs, newest first."""

    TYPE: ClassVar[str] = "JOBS"
    jobs: tuple[JobInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """How is the server?"""

    TYPE: ClassVar[str] = "STATUS"


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Answer to STATUS. uptime_s: seconds; sizes in bytes; facts: further figures by name."""

    TYPE: ClassVar[str] = "STATUS_REPORT"
    server: str
    state: Literal["starting", "ready", "degraded", "draining"]
    uptime_s: float
    queued: int
    running: int
    sessions: int
    workers: int
    devices: tuple[str, ...] = ()
    models: tuple[ModelInfo, ...] = ()
    memory: int = 0
    disk_free: int = 0
    facts: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures for a monitoring system, please."""

    TYPE: ClassVar[str] = "METRICS"


@dataclass(frozen=True, slots=True)
class MetricsText:
    """Answer to METRICS, in OpenMetrics' text format."""

    TYPE: ClassVar[str] = "METRICS_TEXT"
    text: str


@dataclass(frozen=True, slots=True)
class FreeGpu:
    """Leave the GPU's memory as soon as no job runs (admin)."""

    TYPE: ClassVar[str] = "FREE_GPU"


@dataclass(frozen=True, slots=True)
class Drain:
    """Take no more jobs, save the running ones, end (admin)."""

    TYPE: ClassVar[str] = "DRAIN"


@dataclass(frozen=True, slots=True)
class Error:
    """A request could not be met; the envelope's `re` is the request's id, where it was read."""

    TYPE: ClassVar[str] = "ERROR"
    error: WireError


Message: TypeAlias = (
    Hello | Welcome | Reject | Ping | Pong | Bye | Submit | Accepted | Attach | Snapshot | Detach | Event | Credit
    | Preview | BlobQuery | BlobNeed | BlobPut | BlobOk | Get | Chunk | ResultAck | Cancel | Pause | Resume | Reorder
    | Done | ListJobs | Jobs | Status | StatusReport | Metrics | MetricsText | FreeGpu | Drain | Error
)  # fmt: skip

_ALL: tuple[type[Message], ...] = (
    Hello, Welcome, Reject, Ping, Pong, Bye, Submit, Accepted, Attach, Snapshot, Detach, Event, Credit, Preview,
    BlobQuery, BlobNeed, BlobPut, BlobOk, Get, Chunk, ResultAck, Cancel, Pause, Resume, Reorder, Done, ListJobs, Jobs,
    Status, StatusReport, Metrics, MetricsText, FreeGpu, Drain, Error,
)  # fmt: skip
MESSAGES: dict[str, type[Message]] = {message.TYPE: message for message in _ALL}
"""The class of each message by its name on the wire."""
