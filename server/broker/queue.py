# SPDX-License-Identifier: Apache-2.0
"""Who runs next: a fair share of time for each user, interactive jobs before batch jobs.

Deficit round robin over users in seconds of worker time. A user's balance grows by a quantum when the turn
comes to all, and falls by what the user's jobs took (`charge`, while they run: how long a job takes is known
only then). The user whose turn it is runs a job if the balance is above zero. So over time users with waiting
jobs get equal time, whatever the length of their jobs. Within one user: interactive first, then by rank.

    queue = FairQueue()
    queue.add(QueuedJob("job", user="alice", interactive=True, rank=0, since=0.0))
    job = queue.take(now=0.0)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

QUANTUM = 20.0
AGEING = 1800.0
"""A batch job that waits longer than this counts as interactive."""


@dataclass(frozen=True)
class QueuedJob:
    """A job that waits.

    Args:
        since: when it began to wait, on the caller's monotonic clock.
        first: it needs a moment only, and somebody waits for it: it goes before all others, whoever's turn it is.
    """

    job: str
    user: str
    interactive: bool
    rank: int
    since: float
    paused: bool = False
    first: bool = False

    def is_urgent(self, now: float) -> bool:
        """Says whether the job goes before those that are not: it is interactive, or has waited for long."""
        return self.interactive or now - self.since > AGEING


class FairQueue:
    """Jobs that wait, of all users. Memory: some hundred bytes a job."""

    def __init__(self, quantum: float = QUANTUM) -> None:
        self._quantum = quantum
        self._jobs: dict[str, dict[str, QueuedJob]] = {}
        self._turns: deque[str] = deque()
        self._balance: dict[str, float] = {}

    def __len__(self) -> int:
        return sum(len(jobs) for jobs in self._jobs.values())

    def __contains__(self, job: str) -> bool:
        return any(job in jobs for jobs in self._jobs.values())

    def runnable(self) -> int:
        """Counts the jobs that wait and are not paused."""
        return sum(not job.paused for jobs in self._jobs.values() for job in jobs.values())

    def interactive(self) -> int:
        """Counts the interactive jobs that wait and are not paused."""
        return sum(job.interactive and not job.paused for jobs in self._jobs.values() for job in jobs.values())

    def interactive_users(self) -> set[str]:
        """Returns the users who wait for an interactive job that is not paused."""
        waiting = (job for jobs in self._jobs.values() for job in jobs.values())
        return {job.user for job in waiting if job.interactive and not job.paused}

    def add(self, job: QueuedJob) -> None:
        """Lets a job wait; one with the same id is replaced."""
        self._jobs.setdefault(job.user, {})[job.job] = job
        if job.user not in self._turns:
            self._turns.append(job.user)
            # Who comes back keeps a debt, but has saved nothing while away.
            self._balance[job.user] = min(0.0, self._balance.get(job.user, 0.0))

    def remove(self, user: str, job: str) -> bool:
        """Takes a job out; returns whether it was there."""
        found = self._jobs.get(user, {}).pop(job, None)
        if not self._jobs.get(user):
            self._jobs.pop(user, None)
            if user in self._turns:
                self._turns.remove(user)
        return found is not None

    def set_paused(self, user: str, job: str, paused: bool) -> bool:
        """Holds a job back, or lets it go on; returns whether it was there."""
        found = self._jobs.get(user, {}).get(job)
        if found is not None:
            self._jobs[user][job] = replace(found, paused=paused)
        return found is not None

    def charge(self, user: str, seconds: float) -> None:
        """Takes worker time from a user's balance."""
        self._balance[user] = self._balance.get(user, 0.0) - seconds

    def take(self, now: float) -> QueuedJob | None:
        """Removes and returns the job that runs next; None when none may run."""
        chosen = self._choose(now)
        if chosen is None:
            return None
        self.remove(chosen.user, chosen.job)
        if chosen.user in self._turns:
            self._turns.remove(chosen.user)
            self._turns.append(chosen.user)
        return chosen

    def _choose(self, now: float) -> QueuedJob | None:
        candidates = {user: job for user in self._turns if (job := self._best(user, now)) is not None}
        first = next((job for job in candidates.values() if job.first), None)
        if first is not None:
            return first
        urgent = {user: job for user, job in candidates.items() if job.is_urgent(now)}
        eligible = urgent or candidates
        if not eligible:
            return None
        self._refill(eligible)
        return next(eligible[user] for user in self._turns if user in eligible and self._balance[user] > 0)

    def _best(self, user: str, now: float) -> QueuedJob | None:
        runnable = [job for job in self._jobs[user].values() if not job.paused]
        return min(runnable, key=lambda job: (not job.first, not job.is_urgent(now), job.rank), default=None)

    def _refill(self, eligible: dict[str, QueuedJob]) -> None:
        """Give all who wait as many quanta as the richest of them needs to be above zero."""
        richest = max(self._balance[user] for user in eligible)
        if richest <= 0:
            rounds = int(-richest // self._quantum) + 1
            for user in eligible:
                self._balance[user] += rounds * self._quantum

    def reorder(self, user: str, job: str, before: str | None) -> list[tuple[str, int]] | None:
        """Puts a user's waiting job before another one, or last; returns new (job, rank) pairs, None if one is unknown.

        An interactive job still runs before a batch job.
        """
        jobs = self._jobs.get(user, {})
        if job not in jobs or (before is not None and before not in jobs):
            return None
        order = [name for name in self._by_rank(user) if name != job]
        order.insert(len(order) if before is None or before == job else order.index(before), job)
        ranks = sorted(waiting.rank for waiting in jobs.values())
        # Ranks may repeat after a crash of an older version; here they become distinct again.
        for at in range(1, len(ranks)):
            ranks[at] = max(ranks[at], ranks[at - 1] + 1)
        changed = [(name, rank) for name, rank in zip(order, ranks, strict=True) if jobs[name].rank != rank]
        for name, rank in changed:
            jobs[name] = replace(jobs[name], rank=rank)
        return changed

    def _by_rank(self, user: str) -> list[str]:
        return [job.job for job in sorted(self._jobs[user].values(), key=lambda job: job.rank)]

    def positions(self, now: float) -> dict[str, int]:
        """Says how many jobs are expected to start before each waiting job; paused ones come last."""
        order = [*self._round_robin(now, urgent=True), *self._round_robin(now, urgent=False)]
        paused = [job.job for jobs in self._jobs.values() for job in jobs.values() if job.paused]
        return {job: place for place, job in enumerate([*order, *paused])}

    def _round_robin(self, now: float, urgent: bool) -> Iterator[str]:
        # The richest first; each then gets its turn, as when all jobs take the same time.
        users = sorted(self._turns, key=lambda user: -self._balance[user])
        lines = [
            deque(
                job.job
                for job in sorted(self._jobs[user].values(), key=lambda job: job.rank)
                if not job.paused and job.is_urgent(now) == urgent
            )
            for user in users
        ]
        while any(lines):
            yield from [line.popleft() for line in lines if line]
