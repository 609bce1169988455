# SPDX-License-Identifier: Apache-2.0
"""Jobs in workers: from Run to the one terminal state, whatever the worker does."""

import hashlib

import pytest

from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.messages import Attach, Cancel, Done, Error, EventKind, JobResult, JobState, Snapshot
from server.children.messages import (
    CancelRun,
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
from tests.server.broker.core_rig import BOB, CoreRig, User, code_of
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
    assert core.run(job).digest == hashlib.sha256(core.paths.spec(job).read_bytes()).hexdigest()
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
    assert core.paths.spec(bad).is_file()
    assert all(core.store.has(ref.sha256) for ref in spec().refs().values())
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
    core.tick(2.4)
    assert worker.calls == []
    core.tick(0.2)
    assert worker.calls == ["stacks"]
    core.tick(0.5)
    assert worker.calls == ["stacks", "stop"]
    core.tick(1.5)
    assert worker.calls == ["stacks", "stop", "kill"]  # Within 5 s.
    core.tick()
    assert core.state.jobs[job].row.state is JobState.CANCELLED
    core.ready("worker")
    assert core.run(other).attempt == 1


def test_an_acknowledged_cancel_wins_over_a_result_that_comes_later(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    alice.ask(Cancel(job))
    result = core.finish(job)
    assert core.state.jobs[job].row.state is JobState.CANCELLED
    assert core.state.jobs[job].row.result == result


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


def test_what_is_not_on_the_disk_yet_is_not_told(core: CoreRig) -> None:
    """A failed job that a crash makes wait again was never shown as failed."""
    core.ready("worker")
    alice = core.user().upload()
    job = alice.submit()
    error = WireError(ErrorCode.INTERNAL, Retry.NEVER, "It broke.")
    core.child("worker", WorkerFailed(job, core.run(job).attempt, error))
    assert core.state.jobs[job].row.state is JobState.FAILED
    assert core.state.info(core.state.jobs[job]).state is JobState.RUNNING, "the journal has it as running"
    core.restart()
    assert core.state.info(core.state.jobs[job]).state is JobState.QUEUED
    core.ready("worker")
    core.child("worker", WorkerFailed(job, core.run(job).attempt, error))
    core.settle()
    assert core.state.info(core.state.jobs[job]).state is JobState.FAILED


def test_a_cancel_of_what_has_ended_is_answered_when_the_end_is_on_the_disk(core: CoreRig) -> None:
    core.ready("worker")
    alice = core.user().upload()
    job = alice.submit()
    error = WireError(ErrorCode.INTERNAL, Retry.NEVER, "It broke.")
    core.child("worker", WorkerFailed(job, core.run(job).attempt, error))
    alice.post(Cancel(job))
    assert alice.received(Error) == []
    core.settle()
    assert [message.error.code.value for message in alice.received(Error)] == ["JOB.FINISHED"]


def test_progress_between_crashes_keeps_a_job_from_being_set_aside(core: CoreRig) -> None:
    """Each run gets further than the one before: it will get to the end."""
    core.ready("worker")
    alice = core.user().upload()
    job = alice.submit()
    for step in range(1, 4):
        core.child("worker", WorkerCheckpoint(job, 10 * step))
        core.settle()
        core.end()
        core.tick(1.0)
        core.ready("worker")
    row = core.state.jobs[job].row
    assert (row.state, row.crashes) == (JobState.RUNNING, 1)
    for _ in range(2):
        core.child("worker", WorkerCheckpoint(job, 30))
        core.settle()
        core.end()
        core.tick(1.0)
        core.ready("worker")
    assert core.state.jobs[job].row.error.code is ErrorCode.JOB_POISONED, "three crashes at the same place are enough"


def _poisoned(core: CoreRig, alice: User, step: int) -> str:
    job = alice.submit("chair")
    if step:
        core.paths.checkpoint(job).write_bytes(b"newest")
        core.paths.previous_checkpoint(job).write_bytes(b"before")
        core.child("worker", WorkerCheckpoint(job, step))
        core.settle()
    for _ in range(3):
        core.end()
        core.tick(1.0)
        core.ready("worker")
    assert core.state.jobs[job].row.error.code is ErrorCode.JOB_POISONED
    return job


def test_a_job_that_was_set_aside_goes_on_from_its_checkpoint_when_it_is_sent_again(core: CoreRig, alice: User) -> None:
    earlier = _poisoned(core, alice, 40)
    again = alice.submit("chair")
    core.ready("worker")
    assert again != earlier
    row = core.state.jobs[again].row
    assert (row.checkpoint_step, row.crashes) == (40, 0)
    assert core.run(again).resume
    assert core.paths.checkpoint(again).read_bytes() == b"newest"
    core.paths.checkpoint(earlier).unlink()
    assert core.paths.previous_checkpoint(again).read_bytes() == b"before"
    core.restart()
    assert core.state.jobs[again].row.checkpoint_step == 40


def test_another_specification_another_artist_and_a_job_without_steps_begin_anew(core: CoreRig, alice: User) -> None:
    _poisoned(core, alice, 40)
    other, bobs = alice.submit("table"), core.user(BOB).upload().submit("chair")
    assert core.state.jobs[other].row.checkpoint_step == core.state.jobs[bobs].row.checkpoint_step == 0
    assert not core.paths.checkpoint(other).exists()
    assert not core.paths.checkpoint(bobs).exists()


def test_without_a_file_of_the_checkpoint_the_job_begins_anew(core: CoreRig, alice: User) -> None:
    earlier = _poisoned(core, alice, 40)
    core.paths.checkpoint(earlier).unlink()
    core.paths.previous_checkpoint(earlier).unlink()
    again = alice.submit("chair")
    core.ready("worker")
    assert core.state.jobs[again].row.checkpoint_step == 0
    assert not core.run(again).resume
