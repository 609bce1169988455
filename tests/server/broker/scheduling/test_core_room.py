# SPDX-License-Identifier: Apache-2.0
"""Runs that make room: a job that is paused, and batch jobs when an interactive one waits."""

import pytest

from blender_addon.protocol.messages import Cancel, Done, EventKind, JobState, Pause, Resume, Status
from server.broker.disk_words import DiskRoom
from server.broker.queue import AGEING
from server.children.messages import Beat, Run, WorkerCheckpoint, WorkerProgress, WorkerYielded, YieldRun
from server.config import QuotaConfig, ServerConfig, Supervision
from tests.server.broker.core_rig import BOB, CoreRig, User


@pytest.fixture
def alice(core: CoreRig) -> User:
    core.ready("worker")
    return core.user().upload()


def _progress(core: CoreRig, job: str, step: int, eta: float | None = 60.0, index: int = 0) -> None:
    attempt = core.run(job, index).attempt
    core.child("worker", WorkerProgress(job, attempt, step, 10, eta), index=index)


def _yields(core: CoreRig, job: str, step: int, index: int = 0) -> None:
    attempt = core.run(job, index).attempt
    core.child("worker", WorkerCheckpoint(job, step), index=index)
    core.child("worker", WorkerYielded(job, attempt, step), index=index)
    core.settle()


def _states(core: CoreRig, job: str) -> list[str]:
    return [event.state.value for event in core.journal.events_after(job, 0) if event.kind is EventKind.STATE]


def test_a_running_job_pauses_on_a_checkpoint_and_goes_on_from_there(core: CoreRig, alice: User) -> None:
    job, other = alice.submit(), alice.submit()
    _progress(core, job, 3)
    assert alice.ask(Pause(job)) == Done()
    assert core.told(YieldRun) == [YieldRun(job)]
    assert alice.ask(Pause(job)) == Done()
    assert core.told(YieldRun) == [YieldRun(job)]
    _yields(core, job, 4)
    row = core.state.jobs[job].row
    assert (row.state, row.paused, row.crashes, row.checkpoint_step) == (JobState.QUEUED, True, 0, 4)
    assert core.state.jobs[job].step == 4
    assert "4 steps" in core.journal.events_after(job, 0)[-1].text
    core.finish(other)
    core.tick(5.0)
    assert [run.job for run in core.told(Run)] == [job, other]
    assert alice.ask(Resume(job)) == Done()
    assert core.run(job) == Run(job, 2, True)
    core.finish(job)
    assert _states(core, job)[-1] == "succeeded"


def test_a_job_that_was_paused_before_its_run_was_on_the_disk(core: CoreRig) -> None:
    alice = core.user().upload()
    job = alice.submit()
    core.ready("worker")
    core.child("worker", WorkerYielded(job, 1, 0))  # Nobody asked: it simply waits again, and runs again.
    core.settle()
    alice.post(Pause(job))
    core.settle()
    assert core.run(job).attempt == 2
    assert core.told(YieldRun) == [YieldRun(job)]


def test_resumed_before_the_worker_had_paused_it(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    alice.ask(Pause(job))
    alice.ask(Resume(job))
    _yields(core, job, 2)
    assert core.run(job) == Run(job, 2, True)


def test_a_result_that_was_faster_than_the_pause_counts(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    alice.ask(Pause(job))
    core.finish(job)
    row = core.state.jobs[job].row
    assert (row.state, row.paused) == (JobState.SUCCEEDED, False)


def test_a_pausing_job_whose_worker_dies_stays_paused(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    alice.ask(Pause(job))
    core.end()
    core.ready("worker")
    core.tick(1.0)
    assert core.state.jobs[job].row.paused
    assert [run.attempt for run in core.told(Run)] == [1]
    core.restart()
    core.ready("worker")
    assert core.state.jobs[job].row.paused
    assert core.told(Run) == []


def test_a_pausing_job_can_be_cancelled(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    alice.ask(Pause(job))
    assert alice.ask(Cancel(job)) == Done()
    _yields(core, job, 2)
    assert core.run(job).keep_only


def test_a_batch_job_makes_room_for_an_interactive_one_and_goes_on_after_it(core: CoreRig, alice: User) -> None:
    batch = alice.submit(priority="batch")
    _progress(core, batch, 2)
    quick = core.user(BOB).upload().submit()
    core.tick(1.0)
    assert core.told(YieldRun) == [YieldRun(batch)]
    _yields(core, batch, 3)
    assert core.run(quick).attempt == 1
    core.tick(1.0)
    core.finish(quick)
    assert core.run(batch) == Run(batch, 2, True)
    assert core.state.jobs[batch].row.crashes == 0
    assert core.state.metrics.counter("preemptions") == 1
    assert _states(core, batch) == ["queued", "running", "queued", "running"]


def test_nothing_makes_room_for_a_batch_job_or_for_what_is_paused(core: CoreRig, alice: User) -> None:
    running = alice.submit(priority="batch")
    alice.submit(priority="batch")
    core.tick(1.0)
    assert core.told(YieldRun) == []
    core.state.disk = DiskRoom(0, 1)  # Nothing starts while the disk is full, so nothing needs room.
    alice.ask(Pause(running))
    assert core.told(YieldRun) == [YieldRun(running)]


def test_an_interactive_job_makes_room_for_nobody(core: CoreRig, alice: User) -> None:
    alice.submit()
    alice.submit()
    core.tick(1.0)
    assert core.told(YieldRun) == []


def test_a_batch_job_that_is_almost_done_is_waited_for(core: CoreRig, alice: User) -> None:
    batch = alice.submit(priority="batch")
    _progress(core, batch, 9, eta=2.0)
    alice.submit()
    core.tick(1.0)
    assert core.told(YieldRun) == []


@pytest.mark.slow
def test_a_batch_job_keeps_its_age_and_in_the_end_makes_room_no_more(core: CoreRig, alice: User) -> None:
    """Otherwise a stream of interactive jobs would keep it from ever being done."""
    batch = alice.submit(priority="batch")
    told, quick = 0, ""
    for _ in range(40):
        quick = core.user().submit()  # Its session before that has gone silent.
        core.tick(1.0)
        if len(core.told(YieldRun)) == told:
            break
        told += 1
        _yields(core, batch, told)
        for count in range(4):
            core.tick(25.0)
            core.child("worker", Beat(count))
        core.finish(quick)
    assert AGEING / 101.0 - 2 < told < AGEING / 101.0 + 2
    core.finish(batch)
    assert core.state.jobs[batch].row.state is JobState.SUCCEEDED
    assert core.run(quick).attempt == 1


def test_of_two_batch_jobs_the_longer_one_makes_room_and_only_as_many_as_needed(make_core) -> None:
    core = make_core(workers=2)
    core.ready("worker", 0)
    alice = core.user().upload()
    short, long = alice.submit(priority="batch"), alice.submit(priority="batch")
    core.ready("worker", 1)
    _progress(core, short, 1, eta=30.0)
    _progress(core, long, 1, eta=300.0, index=1)
    alice.submit()
    core.tick(1.0)
    assert core.told(YieldRun, index=1) == [YieldRun(long)]
    assert core.told(YieldRun, index=0) == []
    alice.submit()
    core.tick(1.0)
    assert core.told(YieldRun, index=0) == [YieldRun(short)]


def test_a_paused_job_stays_paused_over_a_restart(core: CoreRig, alice: User) -> None:
    job = alice.submit()
    alice.ask(Pause(job))
    _yields(core, job, 5)
    core.config = ServerConfig(paths=core.paths, quotas=QuotaConfig(disk_floor=0))
    core.restart()
    core.ready("worker")
    assert core.told(Run) == []
    alice = core.user()
    alice.ask(Resume(job))
    assert core.run(job) == Run(job, 2, True)


def test_an_interactive_job_of_another_artist_gets_its_turn(make_core) -> None:
    """A job of 100,000 steps must not keep the only worker from everybody for ever."""
    core = make_core(supervision=Supervision(interactive_turn=30.0))
    core.ready("worker")
    alice, bob = core.user().upload(), core.user(BOB).upload()
    long = alice.submit()
    _progress(core, long, 2)
    alice.submit()
    core.tick(40.0)
    assert core.told(YieldRun) == [], "one's own jobs wait for each other"
    quick = bob.submit()
    core.tick(1.0)
    assert core.told(YieldRun) == [YieldRun(long)]
    _yields(core, long, 3)
    assert core.run(quick).attempt == 1
    core.tick(10.0)
    assert core.told(YieldRun) == [YieldRun(long)], "a turn lasts a while"
    for counter in range(6):
        core.tick(10.0)
        core.child("worker", Beat(counter))
    assert core.told(YieldRun)[-1] == YieldRun(quick)
    _yields(core, quick, 5)
    assert core.run(long).attempt == 2


def test_an_interactive_job_that_is_almost_done_is_waited_for(make_core) -> None:
    core = make_core(supervision=Supervision(interactive_turn=1.0))
    core.ready("worker")
    long = core.user().upload().submit()
    core.tick(5.0)
    core.child("worker", WorkerProgress(long, 1, 9, 10, 2.0))
    core.user(BOB).upload().submit()
    core.tick(1.0)
    assert core.told(YieldRun) == []


def test_the_devices_of_all_workers_are_told(core: CoreRig) -> None:
    """Not those of the worker that came last."""
    for index, devices in ((1, ("cuda:1 B",)), (0, ("cuda:0 A", "cpu")), (1, ("cuda:1 B", "cpu"))):
        core.state.devices_of_workers[index] = devices
    alice = core.user()
    assert alice.ask(Status()).devices == ("cuda:0 A", "cpu", "cuda:1 B")
