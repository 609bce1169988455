# SPDX-License-Identifier: Apache-2.0
"""Workers that hang, sleep, idle, do not start, or are to end."""

import pytest

from blender_addon.protocol.errors import ErrorCode
from blender_addon.protocol.messages import Attach, Error, Event, EventKind, JobState, Snapshot, Submit
from server.children.messages import (
    Beat,
    FreeGpu,
    Run,
    Stop,
    WorkerProgress,
)
from server.config import QuotaConfig, ServerConfig, Supervision
from tests.server.broker.core_rig import CoreRig, User
from tests.server.broker.rig import spec


@pytest.fixture
def alice(core: CoreRig) -> User:
    core.ready("worker")
    return core.user().upload()


def _progress(core: CoreRig, job: str, step: int, attempt: int = 1) -> None:
    core.child("worker", WorkerProgress(job, attempt, step, 10, 1.0))


def _states(core: CoreRig, job: str) -> list[str]:
    events = core.journal.events_after(job, 0)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return [event.state.value for event in events if event.kind is EventKind.STATE]


def test_a_worker_without_steps_is_stalled_and_one_that_loads_is_not(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    worker = core.worker()
    core.child("worker", Beat(0))
    for _ in range(20):
        core.tick(50.0)
        core.child("worker", Beat(0))
    assert worker.calls == []  # 1000 s of loading are no stall.
    for step in range(1, 4):
        core.tick(2.0)
        _progress(core, job, step)
    for _ in range(3):
        core.tick(30.0)
        core.child("worker", Beat(0))
    assert worker.calls == []
    core.tick(11.0)
    assert worker.calls == ["stacks"]  # Two seconds a step: 100 s are the limit.
    core.tick(0.6)
    assert worker.calls == ["stacks", "kill"]
    core.tick()
    core.ready("worker")
    assert core.run(job).attempt == 2


def test_steps_within_a_step_are_life(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    _progress(core, job, 1)
    core.tick(0.1)
    _progress(core, job, 2)
    for count in range(20):
        core.tick(30.0)
        core.child("worker", Beat(count + 1))
    assert core.worker().calls == []


def test_a_worker_that_is_silent_altogether_is_ended(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    core.tick(core.config.supervision.beat_limit + 1)
    core.tick(0.6)
    assert core.worker().calls == ["stacks", "kill"]
    core.tick()
    core.ready("worker")
    assert core.run(job).attempt == 2


def test_sleep_of_the_machine_kills_nothing(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    _progress(core, job, 1)
    core.ports.clock += 8 * 3600
    core.ports.wall_clock += 8 * 3600
    core.core.tick()
    core.ports.wall_clock -= 3600
    core.core.tick()
    assert core.worker().calls == []
    assert core.state.metrics.counter("clock_jumps") == 2


def test_an_idle_worker_leaves_the_gpu_and_then_goes(core: CoreRig, alice: User) -> None:
    for _ in range(11):
        core.tick(30.0)
        core.child("worker", Beat(0))
    assert core.told(FreeGpu) == [FreeGpu()]
    for _ in range(21):
        core.tick(30.0)
        core.child("worker", Beat(0))
    assert core.told(Stop) == [Stop()]
    core.end(code=0)
    assert ("worker", 0) not in {child.slot for child in core.core.supervisor.children()}
    alice = core.user()
    job = alice.submit()
    core.ready("worker")
    assert core.run(job).attempt == 1


def test_a_worker_that_cannot_start_makes_the_server_degraded(make_core) -> None:
    core = make_core()
    alice = core.user().upload()
    job = alice.submit()
    spawned = 0
    for _ in range(20):
        if ("worker", 0) in {child.slot for child in core.core.supervisor.children()}:
            spawned += 1
            core.end(code=1)
    assert spawned == core.config.supervision.respawns + 1
    assert core.core.controls.condition() == "degraded"
    assert core.state.jobs[job].row.state is JobState.QUEUED
    assert core.state.jobs[job].row.crashes == 0
    core.tick(core.config.supervision.respawn_window + 1)
    core.ready("worker")
    assert core.run(job).attempt == 1


def test_a_program_that_cannot_be_started_counts_too(make_core) -> None:
    core = make_core(prewarm=False)
    alice = core.user().upload()
    core.ports.broken_spawn = OSError("no such program")
    alice.submit()
    core.tick(10.0)
    assert core.core.controls.condition() == "degraded"


def test_a_worker_that_is_never_ready_is_killed(make_core) -> None:
    core = make_core(supervision=Supervision(start_limit=60.0))
    core.tick(62.0)
    assert core.worker().calls == ["kill"]


def test_a_gate_that_is_never_ready_is_killed_within_a_minute(core: CoreRig, alice: User) -> None:
    core.end("gate")
    gate = core.ports.processes["gate", 0]
    core.tick(core.config.supervision.gate_start_limit - 2.0)
    assert gate.calls == []
    core.tick(4.0)
    assert gate.calls == ["kill"]
    assert core.config.supervision.gate_start_limit < core.config.supervision.start_limit


def test_a_job_before_a_gate_that_never_comes_up_is_answered_after_six_tries(core: CoreRig, alice: User) -> None:
    """As long as PROTOCOL.md says that SUBMIT may take; six minutes, of which each start may take one."""
    core.end("gate")
    alice.post(Submit("1" * 32, spec()))
    since = core.ports.clock
    while not (refused := [error for error in alice.received(Error) if error.error.code is ErrorCode.BUSY]):
        core.tick(5.0)
        assert core.ports.clock < since + 600.0
    assert len(refused) == 1
    limits = core.config.supervision
    tries = limits.respawns  # And the one that was there before, which has ended too.
    assert limits.gate_start_limit * tries <= core.ports.clock - since <= (limits.gate_start_limit + 5.0) * tries


def test_a_drain_saves_the_running_job_for_the_next_server(core: CoreRig, alice: User) -> None:
    job, waiting = alice.submit(), alice.submit()
    core.core.drain()
    core.core.drain()
    assert core.told(Stop) == [Stop()]
    core.end("gate", code=0)
    assert not core.core.is_drained()
    core.end(code=0)
    assert core.core.is_drained()
    assert _states(core, job) == ["queued", "running", "queued"]
    core.restart()
    assert core.state.jobs[job].row.crashes == core.state.jobs[job].row.restarts == 0
    core.ready("worker")
    assert core.run(job) == Run(job, 2, True)
    assert core.state.jobs[waiting].row.state is JobState.QUEUED


def test_a_drain_does_not_wait_for_ever(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    worker = core.worker()
    core.core.drain()
    core.tick(core.config.supervision.drain_limit + 0.4)
    assert worker.calls == ["stacks"]
    core.tick(0.3)
    assert worker.calls == ["stacks", "stop"]
    core.tick(3.0)
    assert worker.calls == ["stacks", "stop", "kill"]
    core.tick()
    assert _states(core, job) == ["queued", "running", "queued"]
    assert core.state.jobs[job].row.crashes == 0


def test_two_workers_run_two_jobs(make_core) -> None:
    core = make_core(workers=2)
    core.ready("worker", 0)
    alice = core.user().upload()
    first, second = alice.submit(), alice.submit()
    core.ready("worker", 1)
    assert core.run(first, 0).attempt == core.run(second, 1).attempt == 1


def test_progress_is_left_out_while_a_reader_is_slow_and_states_are_not(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    assert isinstance(alice.ask(Attach(job)), Snapshot)
    core.ports.backlogs[alice.ctl] = 1
    before = len(alice.received(Event))
    for step in range(1, 9):
        _progress(core, job, step)
    core.finish(job)
    assert [event.state for event in alice.events(job)[before:]] == [JobState.SUCCEEDED]


def test_start_paused_holds_back_what_was_there_before(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    config = core.config
    core.config = ServerConfig(paths=core.paths, quotas=QuotaConfig(disk_floor=0), start_paused=True)
    core.restart()
    core.ready("worker")
    assert core.state.jobs[job].row.paused
    assert core.told(Run) == []
    new = core.user().submit()
    assert core.run(new).attempt == 1
    core.config = config
