# SPDX-License-Identifier: Apache-2.0
"""Messages about jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .fields import check_id, check_not_negative
from .records import JobEvent, JobInfo, JobResult, JobState
from .specs.job import TextureJobSpec
from .structure import LATER, OWN_PATHS

__all__ = [
    "Accepted",
    "Attach",
    "Cancel",
    "Detach",
    "Event",
    "Jobs",
    "ListJobs",
    "Pause",
    "Reorder",
    "ResultAck",
    "Resume",
    "Snapshot",
    "Submit",
]


@dataclass(frozen=True, slots=True)
class Submit:
    """A job. key: made by the client, once a job; the same key with the same spec gives the same job again."""

    TYPE: ClassVar[str] = "SUBMIT"
    key: str
    spec: TextureJobSpec = field(metadata={OWN_PATHS: True})

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

    def __post_init__(self) -> None:
        check_not_negative("after_seq", self.after_seq)


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
    """Hold a job back: one that waits does not start, one that runs ends its run at the next step, on a checkpoint."""

    TYPE: ClassVar[str] = "PAUSE"
    job: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Let a paused job go on, from its checkpoint."""

    TYPE: ClassVar[str] = "RESUME"
    job: str


@dataclass(frozen=True, slots=True)
class Reorder:
    """Put a queued job before another of the same user; None: at the end of this user's jobs."""

    TYPE: ClassVar[str] = "REORDER"
    job: str
    before: str | None = None


@dataclass(frozen=True, slots=True)
class ListJobs:
    """Which jobs are there? all_users: those of everybody, for an admin (since 1.1)."""

    TYPE: ClassVar[str] = "LIST"
    all_users: bool = field(default=False, metadata={LATER: True})


@dataclass(frozen=True, slots=True)
class Jobs:
    """Answer to LIST: this user's jobs, or those of all users, newest first."""

    TYPE: ClassVar[str] = "JOBS"
    jobs: tuple[JobInfo, ...] = ()
