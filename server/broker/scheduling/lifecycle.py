# SPDX-License-Identifier: Apache-2.0
"""What becomes of a job: tried again, set aside, or ended, once and for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.messages import EventKind, JobResult, JobState
from server.broker.state import BrokerState
from server.broker.transfers.feeds import Feeds
from server.storage.jobs import Job
from server.storage.journal import Grant

MAX_NOTICES = 200
_NOTICE_CHARACTERS = 500


class Lifecycle:
    """Changes of a job's state. Each is journaled with its event, and told when it is on the disk."""

    def __init__(self, state: BrokerState, feeds: Feeds) -> None:
        self._state = state
        self.feeds = feeds

    def finish(
        self,
        job: Job,
        end: JobState,
        error: WireError | None = None,
        result: JobResult | None = None,
        grants: Sequence[Grant] = (),
    ) -> None:
        """Brings a job to its one terminal state. An acknowledged cancel wins over whatever came after it; what was
        made is its result all the same.
        """
        if job.row.is_terminal:
            return
        if job.row.cancelling:
            end, error = JobState.CANCELLED, None
        self._state.queue.remove(job.row.user, job.id)
        row = replace(job.row, state=end, error=error, result=result, finished=self._state.ports.wall(), paused=False)
        event = job.record(row, EventKind.STATE)
        self._state.metrics.count(f"jobs_{end.value}")

        def kept() -> None:
            for grant in grants:
                self._state.add_grant(grant)
            self.feeds.publish(job, event)

        self._state.keep(job.row, event, kept, grants)

    def end_cancelled(self, job: Job, kept: bool = False) -> None:
        """Lets a cancelled job whose worker gave no result wait once more, for one made of its newest checkpoint; else
        ends it.

        Args:
            kept: that was tried already, and failed.
        """
        if kept:
            self.notice(job, "What was made before the cancel could not be kept; the server's log says more.")
        if kept or not job.row.checkpoint_step or self._state.is_blocked():
            self.finish(job, JobState.CANCELLED)
        else:
            self.requeue(job, "Cancelled; what was made so far is being kept.")

    def crashed(self, job: Job, cause: WireError) -> None:
        """Gives a job whose worker died of it another try, unless there were too many."""
        crashes = job.row.crashes + 1
        job.row = replace(job.row, crashes=crashes)
        if crashes < self._state.config.supervision.attempts:
            self.requeue(job, f"{cause.text} The job is tried again from its last checkpoint.")
            return
        self._state.metrics.count("jobs_poisoned")
        self.finish(job, JobState.FAILED, poisoned(crashes, cause.text))

    def requeue(self, job: Job, text: str | None, since: float | None = None) -> None:
        """Lets a job wait again, at its old place. `since`: when it began to wait, where that is to count on."""
        job.eta_s = None
        event = job.record(replace(job.row, state=JobState.QUEUED), EventKind.STATE, text)
        self._state.enqueue(job, since)
        self._state.keep(job.row, event, lambda: self.feeds.publish(job, event))

    def notice(self, job: Job, text: str) -> None:
        """Sends the artist something to read."""
        if job.row.is_terminal or job.notices >= MAX_NOTICES:
            return
        job.notices += 1
        event = job.record(job.row, EventKind.NOTICE, text[:_NOTICE_CHARACTERS])
        self._state.keep(job.row, event, lambda: self.feeds.publish(job, event))


def poisoned(times: int, last: str) -> WireError:
    """Returns the error of a job that is set aside."""
    text = f"The job's worker was lost {times} times, so the job is set aside. The last time: {last}"
    hint = "Its inputs are kept. Send it again with other settings, for example a smaller texture."
    return WireError(ErrorCode.JOB_POISONED, Retry.CHANGED, text, hint=hint)
