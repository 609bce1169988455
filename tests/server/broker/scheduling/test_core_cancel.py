# SPDX-License-Identifier: Apache-2.0
"""A cancelled job keeps what it had made: from its worker, or from its newest checkpoint, and ends exactly once."""

import pytest

from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.messages import Cancel, Done, EventKind, JobResult, JobState, Pause
from server.broker.disk_words import DiskRoom
from server.children.messages import (
    Beat,
    CancelRun,
    Run,
    WorkerCancelled,
    WorkerCheckpoint,
    WorkerFailed,
    WorkerKeeping,
    WorkerProgress,
    WorkerYielded,
)
from tests.server.broker.core_rig import BOB, CoreRig, User, code_of


@pytest.fixture
def alice(core: CoreRig) -> User:
    core.ready("worker")
    return core.user().upload()


def _states(core: CoreRig, job: str) -> list[str]:
    events = core.journal.events_after(job, 0)
    return [event.state.value for event in events if event.kind is EventKind.STATE]


def _result(core: CoreRig) -> JobResult:
    return JobResult((), core.store.put(b"{}"), 1.0)


def _checkpoint(core: CoreRig, job: str, step: int = 3) -> None:
    core.child("worker", WorkerCheckpoint(job, step))
    core.settle()


def _keeps(core: CoreRig, job: str) -> JobResult:
    """A worker is told to keep what there is, and does."""
    run = core.run(job)
    assert run.keep_only
    result = _result(core)
    core.child("worker", WorkerCancelled(job, run.attempt, result))
    core.settle()
    return result


def _cancel(user: User, job: str) -> None:
    # Its session may have ended of silence, as the rig's clients say nothing by themselves.
    assert user.hello().ask(Cancel(job)) == Done()


def _time(core: CoreRig, seconds: float) -> None:
    """Time passes, and the worker is alive."""
    while seconds > 0:
        core.tick(min(seconds, 20.0))
        core.child("worker", Beat(0))
        seconds -= 20.0


def _steps(core: CoreRig, job: str, seconds: float, count: int = 2) -> None:
    for step in range(count + 1):
        _time(core, seconds if step else 0.0)
        core.child("worker", WorkerProgress(job, 1, step, 10, 1.0))


def test_what_the_worker_made_is_the_result_of_a_cancelled_job(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    _cancel(alice, job)
    result = _result(core)
    core.child("worker", WorkerCancelled(job, 1, result))
    core.settle()
    row = core.state.jobs[job].row
    assert (row.state, row.result) == (JobState.CANCELLED, result)
    assert core.state.may_read(row.user, result.config_json_sha256)
    assert _states(core, job) == ["queued", "running", "cancelled"]


@pytest.mark.parametrize("seconds", [20.0, 21.5, 30.0])
def test_a_step_of_20_s_may_come_to_its_end(core: CoreRig, alice: User, seconds: float) -> None:
    job = alice.submit()
    _steps(core, job, seconds)
    _cancel(alice, job)
    _time(core, 1.4 * seconds)
    assert core.worker().calls == []
    core.child("worker", WorkerKeeping(job, 1))
    _time(core, 100.0)  # Many large maps.
    assert core.worker().calls == []
    core.child("worker", WorkerCancelled(job, 1, _result(core)))
    core.settle()
    assert core.state.jobs[job].row.result is not None
    assert core.worker().calls == []


def test_a_step_that_takes_longer_costs_the_worker_and_the_checkpoint_is_kept(core: CoreRig, alice: User) -> None:
    job, other = alice.submit(), alice.submit()
    _steps(core, job, 60.0)
    _checkpoint(core, job)
    worker = core.worker()
    _cancel(alice, job)
    core.tick(7.0)
    assert worker.calls == ["stacks", "stop", "kill"]
    assert core.state.jobs[job].row.state is JobState.QUEUED
    assert core.journal.events_after(job, 2)[-1].text == "Cancelled; what was made so far is being kept."
    core.ready("worker")
    # Before the one that waited: somebody waits for it, and it takes no step.
    result = _keeps(core, job)
    assert core.state.jobs[job].row.result == result
    assert _states(core, job) == ["queued", "running", "queued", "running", "cancelled"]
    assert core.run(other) == Run(other, 1, False)


def test_a_worker_that_hangs_while_it_keeps_is_ended(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    _checkpoint(core, job)
    _cancel(alice, job)
    core.child("worker", WorkerKeeping(job, 1))
    _time(core, core.config.supervision.keep_limit - 1.0)
    assert core.worker().calls == []
    core.tick(2.0)
    assert core.worker().calls == ["stacks", "stop"]


def test_what_cannot_be_kept_is_said_and_tried_once_only(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    _checkpoint(core, job)
    _cancel(alice, job)
    core.end()
    core.ready("worker")
    assert core.run(job).keep_only
    core.end()
    core.ready("worker")
    row = core.state.jobs[job].row
    assert (row.state, row.result) == (JobState.CANCELLED, None)
    notice = next(event for event in core.journal.events_after(job, 0) if event.kind is EventKind.NOTICE)
    assert "could not be kept" in notice.text
    assert len(core.told(Run)) == 2


def test_a_failure_after_the_cancel_keeps_the_checkpoint(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    _checkpoint(core, job)
    _cancel(alice, job)
    core.child("worker", WorkerFailed(job, 1, WireError(ErrorCode.RES_OOM, Retry.CHANGED, "2 GiB are missing.")))
    core.settle()
    _keeps(core, job)
    assert core.state.jobs[job].row.error is None
    assert core.state.jobs[job].row.result is not None


@pytest.mark.parametrize("told", [False, True])
def test_a_server_that_ends_between_the_cancel_and_the_result_keeps_it_after_its_next_start(
    core: CoreRig, alice: User, told: bool
) -> None:
    job = alice.submit()
    _checkpoint(core, job)
    _cancel(alice, job)
    if told:
        # It waits, and a worker was about to keep it.
        core.end()
        core.ready("worker")
        assert core.run(job).keep_only
    core.restart()
    assert core.state.jobs[job].row.state is JobState.QUEUED
    core.ready("worker")
    result = _keeps(core, job)
    assert core.state.jobs[job].row.result == result
    assert _states(core, job).count("cancelled") == 1


def test_a_start_that_pauses_what_waits_does_not_pause_what_is_kept(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    _checkpoint(core, job)
    _cancel(alice, job)
    core.config = type(core.config)(**{**vars(core.config), "start_paused": True})
    core.restart()
    core.ready("worker")
    _keeps(core, job)
    assert core.state.jobs[job].row.state is JobState.CANCELLED


def test_a_paused_job_keeps_its_checkpoint_when_it_is_cancelled(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    alice.ask(Pause(job))
    _checkpoint(core, job, 2)
    core.child("worker", WorkerYielded(job, 1, 2))
    core.settle()
    assert alice.ask(Cancel(job)) == Done()
    assert code_of(alice.ask(Pause(job))) == "JOB.FINISHED"
    assert alice.ask(Cancel(job)) == Done()
    _keeps(core, job)
    assert core.state.jobs[job].row.result is not None


def test_a_second_cancel_of_a_running_job_changes_nothing(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    assert alice.ask(Cancel(job)) == Done()
    assert alice.ask(Cancel(job)) == Done()
    assert core.told(CancelRun) == [CancelRun(job)]


def test_what_is_kept_goes_before_another_users_job(core: CoreRig, alice: User) -> None:
    bob = core.user(BOB).upload()
    job, waiting = alice.submit(), bob.submit()
    _time(core, 100.0)  # Alice had more than her share.
    _checkpoint(core, job)
    _cancel(alice, job)
    core.child("worker", WorkerCancelled(job, 1))
    core.settle()
    _keeps(core, job)
    assert core.run(waiting).attempt == 1


def test_on_a_full_disk_a_cancelled_job_ends_at_once(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    _checkpoint(core, job)
    core.state.disk = DiskRoom(0, 1)
    _cancel(alice, job)
    core.child("worker", WorkerCancelled(job, 1))
    core.settle()
    assert core.state.jobs[job].row.state is JobState.CANCELLED
