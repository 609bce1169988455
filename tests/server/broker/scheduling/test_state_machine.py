# SPDX-License-Identifier: Apache-2.0
"""Any order of submits, cancels, attaches, kills and restarts: each job has one end, and events have no gaps.

More of it on demand:
`PGC_STATE_MACHINE_EXAMPLES=5000 python -m pytest tests/server/broker/scheduling/test_state_machine.py`.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.messages import (
    Accepted,
    Attach,
    Cancel,
    Error,
    EventKind,
    JobResult,
    JobState,
    Pause,
    Reorder,
    Resume,
    Snapshot,
    Submit,
)
from server.broker.sessions.sessions import SILENCE_LIMIT
from server.children.messages import Run, WorkerCancelled, WorkerCheckpoint, WorkerFailed, WorkerNotice, WorkerProgress
from server.storage.jobs import TERMINAL
from tests.server.broker.core_rig import ALICE, BOB, CoreRig, User
from tests.server.broker.rig import spec

EXAMPLES = int(os.environ.get("PGC_STATE_MACHINE_EXAMPLES", "25"))
KEYS = st.integers(0, 5)
USERS = st.sampled_from([ALICE, BOB])
PICK = st.integers(0, 5)
WORKER_SAYS = ("ready", "progress", "checkpoint", "notice", "done", "failed", "cuda", "cancelled", "kept")


class Broker(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.core = CoreRig(self.folder)
        self.jobs: dict[tuple[str, int], str] = {}
        self.cancelled: set[str] = set()
        self.ended: dict[str, JobState] = {}
        self.users: dict[str, User] = {}
        self.last_said: dict[str, float] = {}
        self.log_in()

    def log_in(self) -> None:
        self.users = {key: self.core.user(key).upload() for key in (ALICE, BOB)}
        self.last_said = dict.fromkeys(self.users, self.core.ports.clock)

    def teardown(self) -> None:
        self.core.crash()
        shutil.rmtree(self.folder)

    def pick(self, number: int) -> tuple[str, str] | None:
        """(user, job) of one of the jobs."""
        entries = sorted((user, number) for user, number in self.jobs)
        return (entries[number % len(entries)][0], self.jobs[entries[number % len(entries)]]) if entries else None

    def ask(self, user: str, message: Any) -> Any:
        """The answer; who was silent for too long is sent back to HELLO, as clients are, and only they."""
        forgotten = self.core.ports.clock - self.last_said[user] > SILENCE_LIMIT
        answer = self.users[user].ask(message)
        refused = isinstance(answer, Error) and answer.error.code is ErrorCode.PROTO_SESSION
        assert refused == forgotten
        if refused:
            self.users[user].hello()
            answer = self.users[user].ask(message)
        self.last_said[user] = self.core.ports.clock
        return answer

    @rule(user=USERS, key=KEYS, batch=st.booleans())
    def submit(self, user: str, key: int, batch: bool) -> None:
        spec_of_key = spec(f"job {key}", "batch" if key % 2 else "interactive")
        answer = self.ask(user, Submit(f"{key:032x}", spec_of_key))
        assert isinstance(answer, Accepted)
        assert self.jobs.setdefault((user, key), answer.job) == answer.job

    @rule(number=PICK)
    def cancel(self, number: int) -> None:
        if (picked := self.pick(number)) is not None and self.ask(picked[0], Cancel(picked[1])).TYPE == "DONE":
            self.cancelled.add(picked[1])

    @rule(number=PICK, kind=st.sampled_from([Pause, Resume, Reorder]))
    def arrange(self, number: int, kind: type) -> None:
        if (picked := self.pick(number)) is not None:
            self.ask(picked[0], kind(picked[1]))

    @rule(number=PICK, after=st.integers(0, 4))
    def attach(self, number: int, after: int) -> None:
        if (picked := self.pick(number)) is not None:
            answer = self.ask(picked[0], Attach(picked[1], after))
            assert isinstance(answer, Snapshot)
            assert [event.seq for event in answer.events] == list(range(after + 1, after + 1 + len(answer.events)))

    @rule(what=st.sampled_from(WORKER_SAYS))
    def worker(self, what: str) -> None:
        if ("worker", 0) not in self.core.ports.processes:
            return
        if what == "ready":
            self.core.ready("worker")
            return
        runs = self.core.told(Run)
        if runs:
            self.of_run(what, runs[-1])

    def of_run(self, what: str, run: Run) -> None:
        job, attempt = run.job, run.attempt
        code = ErrorCode.WORKER_CUDA if what == "cuda" else ErrorCode.RES_OOM
        if what == "done":
            self.core.finish(job)
            return
        messages = {
            "progress": WorkerProgress(job, attempt, 3, 10, 1.0),
            "checkpoint": WorkerCheckpoint(job, 3),
            "notice": WorkerNotice(job, "hello"),
            "cancelled": WorkerCancelled(job, attempt),
            "kept": WorkerCancelled(job, attempt, JobResult((), self.core.store.put(b"{}"), 1.0)),
        }
        self.core.child("worker", messages.get(what, WorkerFailed(job, attempt, WireError(code, Retry.LATER, "no"))))
        self.core.settle()

    @rule(role=st.sampled_from(["worker", "gate"]))
    def kill(self, role: str) -> None:
        if (role, 0) in self.core.ports.processes:
            self.core.end(role)
            if role == "gate":
                self.core.ready("gate")

    @rule()
    def restart(self) -> None:
        self.core.restart()
        self.log_in()

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 30.0, SILENCE_LIMIT + 1.0]))
    def wait(self, seconds: float) -> None:
        self.core.tick(seconds)

    @rule(user=USERS)
    def reconnect(self, user: str) -> None:
        self.core.core.unreachable(self.users[user].ctl)
        self.users[user] = self.core.user(user)
        self.last_said[user] = self.core.ports.clock

    @invariant()
    def journal_and_memory_agree(self) -> None:
        rows = {row.job: row for row in self.core.journal.jobs()}
        assert rows.keys() == set(self.jobs.values()) == self.core.state.jobs.keys()
        for job, row in rows.items():
            assert row == self.core.state.jobs[job].row
            events = self.core.journal.events_after(job, 0)
            assert [event.seq for event in events] == list(range(1, row.seq + 1))
            ends = [event for event in events if event.kind is EventKind.STATE and event.state in TERMINAL]
            assert len(ends) == row.is_terminal
            assert self.ended.setdefault(job, row.state) == row.state if row.is_terminal else job not in self.ended
            assert (job in self.core.state.queue) == (row.state is JobState.QUEUED)
            if job in self.cancelled and row.is_terminal:
                assert row.state is JobState.CANCELLED
            if row.cancelling and row.state is JobState.QUEUED:
                assert row.checkpoint_step, "it waits for nothing"

    @invariant()
    def at_most_one_job_runs(self) -> None:
        running = [job for job in self.core.state.jobs.values() if job.row.state is JobState.RUNNING]
        assert len(running) <= 1
        assert len(running) == len(self.core.core.runner)


Broker.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
test_any_order = Broker.TestCase
