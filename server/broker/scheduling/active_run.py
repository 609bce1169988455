# SPDX-License-Identifier: Apache-2.0
"""A job in a worker, what its loss means, and which runs make room for others."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field

from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from server.broker.queue import FairQueue
from server.broker.supervision.supervisor import Child
from server.config import Supervision
from server.storage.jobs import Job

_STEPS_KEPT = 64


@dataclass
class ActiveRun:
    """A job in a worker.

    Args:
        since: when the job began to wait, so that a job that makes room keeps its age; begun: when it got its worker.
        protected: it waited so long that nothing goes before it any more, or it is interactive itself.
        yielding: it was told to make room; keeping: it takes no step, but makes a cancelled job's result.
        terminate_at: when a cancelled run has had its time.
    """

    job: Job
    attempt: int
    child: Child
    last_advance: float
    since: float = 0.0
    protected: bool = True
    last_step_at: float | None = None
    step_seconds: deque[float] = field(default_factory=lambda: deque[float](maxlen=_STEPS_KEPT))
    counter: int = 0
    begun: float = 0.0
    sent: bool = False
    yielding: bool = False
    keeping: bool = False
    terminate_at: float | None = None

    @property
    def median_step(self) -> float:
        """Seconds of a step, of the newest ones; 0 before the first."""
        return median_step([self])

    def patience(self, limits: Supervision) -> float:
        """Returns the seconds in which a cancelled run is to end: a slow step may come to its end, so that its work is
        kept, and the weights in the worker too.
        """
        step = self.median_step
        return max(limits.cancel_terminate, 1.5 * step) if step <= limits.cancel_longest else limits.cancel_terminate

    def stall_limit(self, limits: Supervision) -> float:
        """Returns the seconds without a sign of life after which it hangs."""
        if not self.step_seconds:
            return limits.load_limit
        return max(limits.stall_floor, limits.stall_factor * self.median_step)

    def stepped(self, now: float, step: int) -> None:
        """Notes a step that the worker tells. To be called before the job's own count is set."""
        if self.last_step_at is not None and step > self.job.step:
            self.step_seconds.append((now - self.last_step_at) / (step - self.job.step))
        self.last_step_at = self.last_advance = now

    def charge(self, queue: FairQueue, now: float) -> None:
        """Counts the time since the last call against the job's user, whose turn comes later for it."""
        since = self.job.charged_until
        if since is not None:
            queue.charge(self.job.row.user, max(0.0, now - since))
            self.job.charged_until = now

    def rearm(self, now: float) -> None:
        """Forgets the silence while the machine slept: nothing is stalled because of that."""
        self.last_advance = now
        self.last_step_at = None
        self.job.charged_until = now


def median_step(runs: Iterable[ActiveRun]) -> float:
    """Returns the seconds of a step, the median of the newest over all runs; 0 before the first."""
    newest = [seconds for run in runs for seconds in run.step_seconds]
    return statistics.median(newest) if newest else 0.0


def turns_over(runs: Sequence[ActiveRun], waiting: Set[str], latest: float) -> list[ActiveRun]:
    """Returns interactive runs that have had their time while another artist waits for a worker.

    Args:
        waiting: users who wait for an interactive job; latest: who began until then has had the time.
    """
    return [run for run in runs if run.begun <= latest and waiting - {run.job.row.user} and run.job.row.interactive]


def making_room(
    runs: Sequence[ActiveRun], wanted: int, floor: float, turns_over: Sequence[ActiveRun] = ()
) -> list[ActiveRun]:
    """Returns the runs that are to end at their next step, so that `wanted` interactive jobs get workers.

    Batch jobs, but none that waited so long that it counts as urgent; then interactive ones whose turn is over. None
    that needs no more than `floor` seconds. Of several, the one with most work left. Those that make room count.
    """
    missing = wanted - sum(run.yielding for run in runs)
    batch = [run for run in runs if not run.protected]
    free = [run for run in (*batch, *turns_over) if not (run.yielding or run.keeping or run.job.row.cancelling)]
    left = [(math.inf if run.job.eta_s is None else run.job.eta_s, run) for run in free]
    left = sorted((pair for pair in left if pair[0] > floor), key=lambda pair: (pair[1].protected, -pair[0]))
    return [run for _seconds, run in left[: max(0, missing)]]


def loss(child: Child) -> WireError:
    """Says why a worker was lost, for the job that it ran."""
    if child.stalled:
        return WireError(ErrorCode.WORKER_STALLED, Retry.LATER, "The worker did not get on.")
    return WireError(ErrorCode.WORKER_LOST, Retry.LATER, "The worker ended unexpectedly.")
