# SPDX-License-Identifier: Apache-2.0
"""Jobs in workers: from Run to the one terminal state, whatever the worker does."""

import pytest

from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.messages import Attach, Cancel, Done, Event, EventKind, JobResult, JobState, Snapshot
from server.broker.internal import (
    Beat,
    CancelRun,
    FreeGpu,
    Ready,
    Run,
    Stop,
    WorkerCancelled,
    WorkerCheckpoint,
    WorkerDone,
    WorkerFailed,
    WorkerNotice,
    WorkerProgress,
    pack,
)
from server.config import QuotaConfig, ServerConfig, Supervision
from tests.server.broker.core_rig import CoreRig, User, code_of
from tests.server.broker.rig import spec

OOM = WireError(ErrorCode.RES_OOM, Retry.CHANGED, "2 GiB are missing.")
CUDA = WireError(ErrorCode.WORKER_CUDA, Retry.LATER, "The GPU's context is broken.")


@pytest.fixture
def alice(core: CoreRig) -> User:
    core.ready("worker")
    return core.user().upload()


def _follow(user: User, job: str) -> None:
    assert isinstance(user.ask(Attach(job)), Snapshot)


def _states(core: CoreRig, job: str) -> list[str]:
    events = core.journal.events_after(job, 0)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return [event.state.value for event in events if event.kind is EventKind.STATE]


def _progress(core: CoreRig, job: str, step: int, attempt: int = 1) -> None:
    core.child("worker", WorkerProgress(job, attempt, step, 10, 1.0))


def test_a_job_runs_and_its_end_is_journaled_before_it_is_told(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    _follow(alice, job)
    assert core.run(job) == Run(job, 1, False)
    _progress(core, job, 4)
    result = core.finish(job)
    assert _states(core, job) == ["queued", "running", "succeeded"]
    *_rest, progress, end = alice.events(job)
    assert (progress.kind, progress.step, progress.steps, progress.seq) == (EventKind.PROGRESS, 4, 10, 2)
    assert (end.state, end.result, end.seq) == (JobState.SUCCEEDED, result, 3)
    assert core.state.may_read(alice.ctl.user, result.config_json_sha256)


def test_one_worker_runs_one_job_at_a_time(core: CoreRig, alice: User) -> None:
    first, second = alice.submit(), alice.submit()
    assert [run.job for run in core.told(Run)] == [first]
    core.finish(first)
    assert [run.job for run in core.told(Run)] == [first, second]


def test_a_result_whose_files_are_not_there_is_no_result(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    core.child("worker", WorkerDone(job, 1, JobResult((), "0" * 64, 1.0)))
    core.settle()
    assert core.state.jobs[job].row.error.code is ErrorCode.INTERNAL
    assert "blobs/" not in core.state.jobs[job].row.error.text


def test_a_failure_ends_the_job_and_not_the_worker(core: CoreRig, alice: User) -> None:
    job, other = alice.submit(), alice.submit()
    core.child("worker", WorkerFailed(job, 1, OOM))
    core.settle()
    assert core.state.jobs[job].row.error == OOM
    assert core.run(other).attempt == 1
    assert core.state.metrics.counter("out_of_memory") == 1


def test_a_broken_gpu_costs_the_worker_and_the_job_a_try(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    core.child("worker", WorkerFailed(job, 1, CUDA))
    core.settle()
    assert core.told(Stop)
    core.end(code=70)
    core.ready("worker")
    assert core.run(job) == Run(job, 2, True)
    assert core.state.jobs[job].row.crashes == 1


def test_three_dead_workers_set_a_job_aside_and_the_next_one_runs(core: CoreRig, alice: User) -> None:
    bad, good = alice.submit("bad"), alice.submit("good")
    _follow(alice, bad)
    for attempt in (1, 2, 3):
        assert core.run(bad).attempt == attempt
        _progress(core, bad, 1, attempt)
        core.end()
        core.ready("worker")
    row = core.state.jobs[bad].row
    assert (row.state, row.error.code) == (JobState.FAILED, ErrorCode.JOB_POISONED)
    assert _states(core, bad) == ["queued", "running", "queued", "running", "queued", "running", "failed"]
    assert "tried again" in alice.events(bad)[1].text or "tried again" in alice.events(bad)[2].text
    core.finish(good)
    assert core.state.jobs[good].row.state is JobState.SUCCEEDED
    assert core.journal.blobs() >= {ref.sha256 for ref in _refs()}


def _refs():
    return spec().refs().values()


def test_messages_of_an_earlier_attempt_or_a_dead_worker_are_ignored(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    old = core.worker()
    core.end()
    core.ready("worker")
    core.child("worker", WorkerFailed(job, 1, OOM))
    core.child("worker", WorkerProgress(job, 1, 9, 10))
    core.core.child_received(old.key, b"old", [])
    core.settle()
    assert core.state.jobs[job].row.state is JobState.RUNNING
    assert core.state.jobs[job].step == 0
    core.finish(job)
    core.finish(job)
    assert _states(core, job).count("succeeded") == 1


def test_checkpoints_and_notices_are_kept(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    _follow(alice, job)
    core.child("worker", WorkerCheckpoint(job, 7))
    core.child("worker", WorkerNotice(job, "A smaller plan was taken."))
    core.settle()
    assert core.journal.jobs()[0].checkpoint_step == 7
    assert core.journal.events_after(job, 2)[0].text == "A smaller plan was taken."
    assert alice.events(job)[-1].kind is EventKind.NOTICE


def test_notices_are_limited(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    for number in range(250):
        core.child("worker", WorkerNotice(job, f"{number} " + "x" * 10_000))
    core.settle()
    notices = core.journal.events_after(job, 2)
    assert len(notices) == 200
    assert max(len(event.text) for event in notices) <= 500


def test_a_queued_job_is_cancelled_at_once(core: CoreRig, alice: User) -> None:
    running, waiting = alice.submit(), alice.submit()
    assert alice.ask(Cancel(waiting)) == Done()
    assert _states(core, waiting) == ["queued", "cancelled"]
    assert alice.ask(Cancel(waiting)) == Done()
    core.finish(running)
    assert code_of(alice.ask(Cancel(running))) == "JOB.FINISHED"
    assert [run.job for run in core.told(Run)] == [running]


def test_a_running_job_is_cancelled_by_its_worker(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    assert alice.ask(Cancel(job)) == Done()
    assert core.told(CancelRun) == [CancelRun(job)]
    core.child("worker", WorkerCancelled(job, 1))
    core.settle()
    assert _states(core, job) == ["queued", "running", "cancelled"]
    assert core.worker().calls == []


def test_a_worker_that_does_not_obey_is_told_by_the_system_and_then_killed(core: CoreRig, alice: User) -> None:
    job, other = alice.submit(), alice.submit()
    alice.ask(Cancel(job))
    worker = core.worker()
    core.tick(2.9)
    assert worker.calls == []
    core.tick(0.2)
    assert worker.calls == ["stop"]
    core.tick(2.1)
    assert worker.calls == ["stop", "kill"]
    core.tick()
    assert core.state.jobs[job].row.state is JobState.CANCELLED
    core.ready("worker")
    assert core.run(other).attempt == 1


def test_an_acknowledged_cancel_wins_over_a_result_that_comes_later(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    alice.ask(Cancel(job))
    core.finish(job)
    assert core.state.jobs[job].row.state is JobState.CANCELLED
    assert core.state.jobs[job].row.result is None


def test_a_cancelled_job_never_runs_again_after_a_crash_of_the_server(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    alice.ask(Cancel(job))
    core.restart()
    assert core.state.jobs[job].row.state is JobState.CANCELLED


def test_a_job_that_was_cancelled_before_its_run_was_on_the_disk(core: CoreRig) -> None:
    alice = core.user().upload()
    job = alice.submit()
    core.auto_gate = False
    worker = core.worker()
    core.core.child_received(worker.key, b"worker0", [pack(Ready("worker", 0, 1, {}, ("cpu",)))])
    alice.post(Cancel(job))
    core.settle()
    sent = [type(message) for rid, message in core.ports.to_children if rid == b"worker0"]
    assert sent == [Run, CancelRun]


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
    assert worker.calls == ["kill"]  # Two seconds a step: 100 s are the limit.
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
    assert core.worker().calls == ["kill"]
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
    core.tick(core.config.supervision.drain_limit + 0.5)
    assert worker.calls == ["stop"]
    core.tick(3.0)
    assert worker.calls == ["stop", "kill"]
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
    _follow(alice, job)
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
