# SPDX-License-Identifier: Apache-2.0
"""Lists of jobs, for WELCOME and JOBS: a user's own, and for an admin everybody's, as many as fit into a header."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from blender_addon.protocol.messages import JobInfo, JobState
from server.broker.state import BrokerState
from server.storage.jobs import Job

__all__ = ["Lists"]

MAX_LISTED = 250
"""Jobs in one answer: what fits into a header."""
_MAX_LISTED_BYTES = 120 << 10


class Lists:
    """What to leave out of a list that would be too long: what is over, then what is old."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state

    def of(self, user: str) -> tuple[JobInfo, ...]:
        """Returns the user's jobs, newest first."""
        jobs = sorted(self._state.jobs_of(user), key=lambda job: (job.row.is_terminal, -job.row.created))
        chosen = self._fitting(jobs, self._state.info)
        return tuple(sorted(chosen, key=lambda info: -info.created))

    def of_all(self) -> tuple[JobInfo, ...]:
        """Returns everybody's jobs, each with its owner's name: first those that run, then those that wait, then the
        newest.
        """

        def place(job: Job) -> tuple[bool, bool, float]:
            return job.row.is_terminal, job.row.state is not JobState.RUNNING, -job.row.created

        def info(job: Job, positions: dict[str, int]) -> JobInfo:
            return replace(self._state.info(job, positions), owner=self._state.owner_name(job))

        return tuple(self._fitting(sorted(self._state.jobs.values(), key=place), info))

    def _fitting(self, jobs: list[Job], describe: Callable[[Job, dict[str, int]], JobInfo]) -> list[JobInfo]:
        positions = self._state.queue.positions(self._state.ports.now())
        chosen: list[JobInfo] = []
        size = 0
        for job in jobs[:MAX_LISTED]:
            info = describe(job, positions)
            size += 300 + 4 * len(info.name) + (0 if info.error is None else 600 + 4 * len(info.error.text))
            size += len(info.owner or "")
            if size > _MAX_LISTED_BYTES:
                break
            chosen.append(info)
        return chosen
