# SPDX-License-Identifier: Apache-2.0
"""What messages tell about jobs, maps, models and blobs."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Literal

from .arrays import DType, check_hash
from .errors import FieldError, WireError
from .fields import check_not_negative
from .structure import LATER

__all__ = [
    "BlobProgress",
    "EventKind",
    "JobEvent",
    "JobInfo",
    "JobResult",
    "JobState",
    "MapFile",
    "ModelInfo",
    "PreviewCodec",
]


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
    """Pixels of a preview, rows from the top: as they are, or in a zlib stream. MESH (since 1.2): no pixels, but a mesh
    (`meshes.PreviewMesh`).
    """

    RAW_U8 = "raw_u8"
    ZLIB_U8 = "zlib_u8"
    MESH = "mesh"


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
        for name in ("tile", "width", "height", "channels", "bytes"):
            check_not_negative(name, getattr(self, name))


MAX_MAP_FILES = 400
"""Of one job: a SNAPSHOT of more would not fit into a header."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """All that a job made. `config_json_sha256`: blob of the resolved configuration, versions and seed, as JSON."""

    maps: tuple[MapFile, ...]
    config_json_sha256: str
    seconds: float
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_hash("config_json_sha256", self.config_json_sha256)
        if len(self.maps) > MAX_MAP_FILES:
            raise FieldError("maps", f"{len(self.maps)} files; a result has at most {MAX_MAP_FILES}.")


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job as it stands. created: seconds since 1970; position: jobs before it in the queue.

    owner: name of the machine whose job it is, in a list of all users' jobs only (since 1.1).
    """

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
    owner: str | None = field(default=None, metadata={LATER: True})

    def __post_init__(self) -> None:
        for name in ("position", "step", "steps", "attempt"):
            check_not_negative(name, getattr(self, name))


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

    def __post_init__(self) -> None:
        for name in ("seq", "step", "steps"):
            check_not_negative(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class BlobProgress:
    """A blob that is not complete, and how many of its bytes are there, from its start."""

    sha256: str
    received: int

    def __post_init__(self) -> None:
        check_hash("sha256", self.sha256)
        check_not_negative("received", self.received)
