# SPDX-License-Identifier: Apache-2.0
"""Messages between the broker and its own processes, the gate and the workers.

They travel over a loopback ROUTER/DEALER pair with CURVE keys made for each child. One frame holds the
message; `WorkerPreview` is followed by one frame of payload.

    socket.send(pack(Beat(step_counter=7)))
    message = unpack(socket.recv())
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias, cast

import msgpack  # pyright: ignore[reportMissingTypeStubs]

from blender_addon.protocol.errors import ProtocolError, WireError
from blender_addon.protocol.messages import JobResult, ModelInfo
from blender_addon.protocol.structure import from_wire, to_wire
from server.errors import InternalMessageError

ROLE_GATE = "gate"
ROLE_WORKER = "worker"
MAX_MESSAGE_BYTES = 1 << 20
"""Of one frame; a preview's payload has the same limit."""


@dataclass(frozen=True)
class Ready:
    """First message of a child.

    Args:
        versions: package name to version; devices: names such as `cuda:0 NVIDIA H200` or `cpu`.
        models: what a worker can load, and what it could after a download; the gate has none.
    """

    TYPE: ClassVar[str] = "ready"
    role: str
    index: int
    pid: int
    versions: dict[str, str]
    devices: tuple[str, ...]
    models: tuple[ModelInfo, ...] = ()


@dataclass(frozen=True)
class GateVerdict:
    """The gate has looked at a job's specification and blobs. `error` is given when not `ok`."""

    TYPE: ClassVar[str] = "verdict"
    job: str
    ok: bool
    error: WireError | None = None


@dataclass(frozen=True)
class WorkerProgress:
    """`step` of `steps` is done; `eta_s`: seconds left, as far as known."""

    TYPE: ClassVar[str] = "progress"
    job: str
    attempt: int
    step: int
    steps: int
    eta_s: float | None = None


@dataclass(frozen=True)
class WorkerPreview:
    """A picture of one tile of one map follows in the next frame; `codec` is a `PreviewCodec` value."""

    TYPE: ClassVar[str] = "preview"
    job: str
    step: int
    map: str
    tile: int
    width: int
    height: int
    channels: int
    codec: str


@dataclass(frozen=True)
class WorkerNotice:
    """Something that the artist should read, for example that a smaller plan was taken."""

    TYPE: ClassVar[str] = "notice"
    job: str
    text: str


@dataclass(frozen=True)
class WorkerCheckpoint:
    """A checkpoint of this step is on the disk."""

    TYPE: ClassVar[str] = "checkpoint"
    job: str
    step: int


@dataclass(frozen=True)
class WorkerDone:
    """All result blobs are in the store, on the disk."""

    TYPE: ClassVar[str] = "done"
    job: str
    attempt: int
    result: JobResult


@dataclass(frozen=True)
class WorkerFailed:
    """The job cannot be done. With code WORKER.CUDA the worker exits after it and the job is tried again."""

    TYPE: ClassVar[str] = "failed"
    job: str
    attempt: int
    error: WireError


@dataclass(frozen=True)
class WorkerKeeping:
    """The run was cancelled; its result is being made of what there is, which may take longer than a step."""

    TYPE: ClassVar[str] = "keeping"
    job: str
    attempt: int


@dataclass(frozen=True)
class WorkerCancelled:
    """The run ended because of `CancelRun`, or was to keep only. `result`: of the steps that were taken, if any."""

    TYPE: ClassVar[str] = "cancelled"
    job: str
    attempt: int
    result: JobResult | None = None


@dataclass(frozen=True)
class WorkerYielded:
    """The run ended because of `YieldRun`; it goes on later from its newest checkpoint, of `step`."""

    TYPE: ClassVar[str] = "yielded"
    job: str
    attempt: int
    step: int


@dataclass(frozen=True)
class Beat:
    """Sent each second or so, by a thread of its own; `step_counter` grows with each step and sub-step."""

    TYPE: ClassVar[str] = "beat"
    step_counter: int


@dataclass(frozen=True)
class Validate:
    """Look at `jobs/<job>/spec.msgpack` and the blobs that it names."""

    TYPE: ClassVar[str] = "validate"
    job: str


@dataclass(frozen=True)
class Run:
    """Run the job; `resume`: a checkpoint may be there. `attempt` comes back in each answer.

    With `keep_only` no step is taken: the newest checkpoint of a cancelled job becomes its result. digest: SHA-256 that
    the specification had when the job was accepted; empty: not to be compared.
    """

    TYPE: ClassVar[str] = "run"
    job: str
    attempt: int
    resume: bool
    keep_only: bool = False
    digest: str = field(default="", compare=False)


@dataclass(frozen=True)
class CancelRun:
    """End the run of this job at the next step, with a result of what there is; not running here: ignored."""

    TYPE: ClassVar[str] = "cancel"
    job: str


@dataclass(frozen=True)
class YieldRun:
    """Checkpoint this job at the next step and end its run: it is paused, or another goes before it."""

    TYPE: ClassVar[str] = "yield"
    job: str


@dataclass(frozen=True)
class FreeGpu:
    """Take the weights off the GPU when no job runs."""

    TYPE: ClassVar[str] = "free_gpu"


@dataclass(frozen=True)
class Stop:
    """Checkpoint the running job, if any, and exit with code 0. No `WorkerFailed` is sent for it."""

    TYPE: ClassVar[str] = "stop"


FromChild: TypeAlias = (
    Ready
    | GateVerdict
    | WorkerProgress
    | WorkerPreview
    | WorkerNotice
    | WorkerCheckpoint
    | WorkerDone
    | WorkerFailed
    | WorkerKeeping
    | WorkerCancelled
    | WorkerYielded
    | Beat
)
ToChild: TypeAlias = Validate | Run | CancelRun | YieldRun | FreeGpu | Stop
InternalMessage: TypeAlias = FromChild | ToChild

_FROM_CHILD = (
    Ready,
    GateVerdict,
    WorkerProgress,
    WorkerPreview,
    WorkerNotice,
    WorkerCheckpoint,
    WorkerDone,
    WorkerFailed,
    WorkerKeeping,
    WorkerCancelled,
    WorkerYielded,
    Beat,
)
_TO_CHILD = (Validate, Run, CancelRun, YieldRun, FreeGpu, Stop)
_packb: Callable[..., bytes] = msgpack.packb  # pyright: ignore
_unpackb: Callable[..., Any] = msgpack.unpackb  # pyright: ignore
_BY_NAME: Mapping[str, type[InternalMessage]] = {cls.TYPE: cls for cls in (*_FROM_CHILD, *_TO_CHILD)}


def pack(message: InternalMessage) -> bytes:
    """Returns one frame for a message."""
    return _packb({"t": message.TYPE, "body": to_wire(message)}, use_bin_type=True)


def unpack(data: bytes) -> InternalMessage:
    """Returns the message in a frame.

    Raises:
        InternalMessageError: the bytes are no message.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise InternalMessageError(f"A frame of {len(data)} bytes; expected at most {MAX_MESSAGE_BYTES}.")
    try:
        plain = _unpackb(data, raw=False, strict_map_key=True, max_array_len=4096, max_map_len=1024)
    except (ValueError, msgpack.UnpackException) as error:
        raise InternalMessageError(f"{len(data)} bytes that are no msgpack map: {error}") from error
    if not isinstance(plain, dict):
        raise InternalMessageError(f"A {type(plain).__name__} instead of a map with `t` and `body`.")
    fields = cast("dict[str, Any]", plain)
    cls = _BY_NAME.get(str(fields.get("t")))
    if cls is None:
        raise InternalMessageError(f"Message type {fields.get('t')!r}; known are {', '.join(sorted(_BY_NAME))}.")
    try:
        return from_wire(cls, fields.get("body"))
    except ProtocolError as error:
        raise InternalMessageError(f"Message {cls.TYPE}: {error}") from error
