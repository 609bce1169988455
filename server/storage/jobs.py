# SPDX-License-Identifier: Apache-2.0
"""A job as the broker knows it: what the journal keeps (`JobRow`) and what it need not keep (`Job`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from blender_addon.protocol.errors import WireError
from blender_addon.protocol.messages import EventKind, JobEvent, JobInfo, JobResult, JobState

TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


@dataclass(frozen=True)
class JobRow:
    """One row of the journal.

    Args:
        user: CURVE public key of the job's owner; key: the client's own UUID for the request.
        digest: SHA-256 of the specification, so that the same key with another payload is noticed.
        cancelling: a cancel was acknowledged; the job must never run again.
        attempt: number of the newest run, from 1; crashes: runs that ended with the worker's death.
        restarts: runs that the broker's own end interrupted since the newest checkpoint.
        rank: place among the user's queued jobs, smallest first.
        seq: number of the newest journaled event.
        acked: when the client had fetched the result.
    """

    job: str
    user: str
    key: str
    digest: str
    name: str
    interactive: bool
    created: float
    rank: int
    state: JobState = JobState.QUEUED
    paused: bool = False
    cancelling: bool = False
    attempt: int = 0
    crashes: int = 0
    restarts: int = 0
    checkpoint_step: int = 0
    steps: int = 0
    seq: int = 0
    finished: float | None = None
    acked: float | None = None
    error: WireError | None = None
    result: JobResult | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended."""
        return self.state in TERMINAL


@dataclass
class Job:
    """A row and what is lost without harm when the broker ends.

    Attributes:
        told: the newest row that is on the disk. Clients are shown this one: what they were told must still be true
            after a crash.
    """

    row: JobRow
    step: int = 0
    eta_s: float | None = None
    charged_until: float | None = None
    preview_seq: int = 0
    notices: int = 0
    watchers: set[str] = field(default_factory=lambda: set[str]())
    told: JobRow = field(init=False)

    def __post_init__(self) -> None:
        self.told = self.row

    @property
    def id(self) -> str:
        """The job's id."""
        return self.row.job

    def record(self, row: JobRow, kind: EventKind, text: str | None = None) -> JobEvent:
        """Takes over new values as the next event of the job; both are to be journaled together."""
        self.row = replace(row, seq=self.row.seq + 1)
        return self.event(kind, text)

    def event(self, kind: EventKind, text: str | None = None) -> JobEvent:
        """Returns an event of the job as it is now, with the newest journaled number."""
        row = self.row
        ended = row.is_terminal
        return JobEvent(
            job=row.job,
            seq=row.seq,
            kind=kind,
            state=row.state,
            step=self.step,
            steps=row.steps,
            eta_s=None if ended else self.eta_s,
            text=text,
            error=row.error if ended else None,
            result=row.result if ended else None,
        )

    def info(self, position: int) -> JobInfo:
        """Returns what a client sees in a list; `position`: jobs before it in the queue."""
        row = self.told
        return JobInfo(
            job=row.job,
            key=row.key,
            state=row.state,
            position=position,
            step=self.step,
            steps=row.steps,
            attempt=row.attempt,
            created=row.created,
            name=row.name,
            error=row.error,
            paused=row.paused,
        )
