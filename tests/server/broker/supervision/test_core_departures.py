# SPDX-License-Identifier: Apache-2.0
"""A machine that is taken off the list: its jobs end, its uploads go, its connections are cut; nobody else's do."""

import hashlib

from blender_addon.protocol.messages import (
    Attach,
    BlobNeed,
    BlobOk,
    BlobPut,
    BlobQuery,
    JobState,
    ListJobs,
    Pause,
    Reject,
    Submit,
)
from server.broker.supervision.departures import GRACE_SECONDS
from server.broker.transfers.uploads import owner_tag
from server.children import messages as inside
from tests.server.broker.core_rig import ALICE, BOB, CLIENTS, CoreRig, code_of
from tests.server.broker.rig import spec

LONG = GRACE_SECONDS + 3


def take_off(core: CoreRig, user: str = ALICE, *, is_sure: bool = True) -> None:
    core.core.departures.is_sure = is_sure
    core.core.set_clients({key: client for key, client in CLIENTS.items() if key != user})
    core.settle()


def state_of(core: CoreRig, job: str) -> JobState:
    return core.state.jobs[job].row.state


def test_what_ran_and_what_waited_of_a_removed_machine_ends_and_says_why(core: CoreRig) -> None:
    core.ready("worker")
    alice, bob = core.user().upload(), core.user(BOB).upload()
    running, waiting, paused = (alice.submit() for _ in range(3))
    alice.ask(Pause(paused))
    others = bob.submit()
    take_off(core)
    core.tick(GRACE_SECONDS - 1)
    assert state_of(core, running) is JobState.RUNNING, "not at once: an entry may only be written anew"
    core.tick(4)
    assert core.told(inside.CancelRun) == [inside.CancelRun(running)]
    assert state_of(core, waiting) is state_of(core, paused) is JobState.CANCELLED
    core.child("worker", inside.WorkerCancelled(running, 1))
    core.settle()
    assert state_of(core, running) is JobState.CANCELLED
    assert core.run(others).attempt == 1
    core.core.set_clients(dict(CLIENTS))
    snapshot = core.user().ask(Attach(running))
    assert "was taken off the server's list" in " ".join(event.text or "" for event in snapshot.events)


def test_what_a_removed_machines_job_made_is_kept(core: CoreRig) -> None:
    core.ready("worker")
    alice = core.user().upload()
    job = alice.submit()
    core.child("worker", inside.WorkerCheckpoint(job, 40))
    core.settle()
    take_off(core)
    core.tick(LONG)
    core.child("worker", inside.WorkerCancelled(job, 1))  # It gave no result itself.
    core.settle()
    assert core.run(job).keep_only
    assert core.told(inside.Run)[-1].job == job


def test_its_connections_hear_why_and_are_cut(core: CoreRig) -> None:
    alice, bob = core.user(), core.user(BOB)
    take_off(core)
    (reject,) = alice.received(Reject)
    assert reject.error.code.value == "AUTH.REFUSED"
    assert core.ports.cuts == [alice.ctl, alice.bulk]
    assert bob.received(Reject) == []
    assert code_of(alice.ask(ListJobs())) == "AUTH.REFUSED", "what it still says is answered, and cut again"
    assert core.ports.cuts[2:] == [alice.ctl]


def test_its_unfinished_uploads_go(core: CoreRig) -> None:
    alice, bob = core.user(), core.user(BOB)
    name = hashlib.sha256(b"abc").hexdigest()
    for user in (alice, bob):
        assert user.ask(BlobPut(name, 3, 0), b"ab", bulk=True).received == 2
    mine, theirs = (core.store.partial_path(name, owner_tag(user)) for user in (ALICE, BOB))
    take_off(core)
    core.tick(LONG)
    assert not mine.exists()
    assert theirs.exists()
    assert bob.ask(BlobPut(name, 3, 2), b"c", bulk=True) == BlobOk(name, 3, True, core.core.uploads.window())
    core.core.set_clients(dict(CLIENTS))
    need = core.user().ask(BlobQuery((name,)), bulk=True)
    assert isinstance(need, BlobNeed)
    assert [missing.received for missing in need.missing] == [0]


def test_a_piece_that_is_being_written_when_the_machine_is_removed_is_thrown_away(core: CoreRig) -> None:
    alice = core.user()
    name = hashlib.sha256(b"abc").hexdigest()
    alice.post(BlobPut(name, 3, 0), b"ab", bulk=True)
    core.core.uploads.forget(ALICE)  # The disk has the piece and has not answered.
    core.settle()
    assert not core.store.partial_path(name, owner_tag(ALICE)).exists()
    assert len(core.core.uploads) == 0


def test_a_job_that_is_before_the_gate_when_its_machine_is_removed_is_none(core: CoreRig) -> None:
    core.auto_gate = False
    alice = core.user().upload()
    asked = alice.post(Submit("7" * 32, spec()))
    core.settle()
    take_off(core)
    core.judge_all()
    core.settle()
    (answer,) = [envelope.message for _to, envelope in core.ports.sent if envelope.re == asked]
    assert code_of(answer) == "AUTH.REFUSED"
    assert not core.state.jobs


def test_nothing_ends_while_the_list_cannot_be_read(core: CoreRig) -> None:
    """A damaged entry lets nobody in; that it was taken off is not known."""
    job = core.user().upload().submit()
    take_off(core, is_sure=False)
    core.tick(10 * LONG)
    assert state_of(core, job) is JobState.QUEUED
    core.core.departures.is_sure = True
    core.tick(LONG)
    assert state_of(core, job) is JobState.CANCELLED


def test_who_comes_back_in_time_loses_nothing(core: CoreRig) -> None:
    job = core.user().upload().submit()
    for _ in range(3):
        take_off(core)
        core.tick(GRACE_SECONDS - 1)
        core.core.set_clients(dict(CLIENTS))
        core.tick(2)
    assert state_of(core, job) is JobState.QUEUED


def test_jobs_of_a_machine_that_was_removed_while_the_server_was_down_end_too(core: CoreRig) -> None:
    job = core.user().upload().submit()
    core.restart()
    take_off(core)
    core.tick(LONG)
    assert state_of(core, job) is JobState.CANCELLED


def test_a_machine_that_is_removed_twice_ends_its_jobs_twice(core: CoreRig) -> None:
    first = core.user().upload().submit()
    take_off(core)
    core.tick(LONG)
    core.core.set_clients(dict(CLIENTS))
    core.tick(2)
    second = core.user().submit()
    take_off(core)
    core.tick(LONG)
    assert state_of(core, first) is state_of(core, second) is JobState.CANCELLED
