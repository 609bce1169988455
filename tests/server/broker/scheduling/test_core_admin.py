# SPDX-License-Identifier: Apache-2.0
"""An admin helps himself: jobs of all users are seen, cancelled, paused and resumed; nobody else can."""

import pytest

from blender_addon.protocol.messages import Attach, Cancel, Done, JobState, ListJobs, Pause, Reorder, ResultAck, Resume
from server.broker.scheduling import lists
from server.children import messages as inside
from tests.server.broker.core_rig import BOB, BOSS, CoreRig, code_of


def test_an_admin_sees_the_jobs_of_all_users_those_that_run_first(core: CoreRig, monkeypatch) -> None:
    core.ready("worker")
    alice, bob, boss = core.user().upload(), core.user(BOB).upload(), core.user(BOSS).upload()
    running, waiting, own = alice.submit("marble"), bob.submit("oak"), boss.submit("mine")
    listed = boss.ask(ListJobs(all_users=True)).jobs
    assert (listed[0].job, listed[0].state, listed[0].owner) == (running, JobState.RUNNING, "alice")
    assert {(info.job, info.owner, info.name) for info in listed[1:]} == {
        (waiting, "bob", "oak"),
        (own, "boss", "mine"),
    }
    assert [info.owner for info in boss.ask(ListJobs()).jobs] == [None], "asked for his own, he gets his own"
    monkeypatch.setattr(lists, "MAX_LISTED", 1)
    assert [info.job for info in boss.ask(ListJobs(all_users=True)).jobs] == [running]


def test_nobody_else_sees_them(core: CoreRig) -> None:
    core.user().upload().submit()
    bob = core.user(BOB)
    assert code_of(bob.ask(ListJobs(all_users=True))) == "AUTH.FORBIDDEN"
    assert bob.ask(ListJobs()).jobs == ()


def test_an_admin_ends_a_guests_job_that_holds_the_machine(core: CoreRig) -> None:
    core.ready("worker")
    alice, boss = core.user().upload(), core.user(BOSS).upload()
    long = alice.submit()
    alice.ask(Attach(long))
    own = boss.submit()
    assert boss.ask(Cancel(long)) == boss.ask(Cancel(long)) == Done()
    assert core.told(inside.CancelRun) == [inside.CancelRun(long)]
    core.child("worker", inside.WorkerCancelled(long, 1))
    core.settle()
    assert core.run(own).attempt == 1, "the worker is the admin's now"
    events = alice.events(long)
    assert events[-1].state is JobState.CANCELLED
    assert "An admin of the server cancelled this job." in [event.text for event in events]


def test_a_job_that_its_own_user_cancels_speaks_of_no_admin(core: CoreRig) -> None:
    boss = core.user(BOSS).upload()
    job = boss.submit()
    boss.ask(Attach(job))
    boss.ask(Pause(job))
    boss.ask(Cancel(job))
    assert not any("admin" in (event.text or "") for event in boss.events(job))


def test_an_admin_pauses_and_resumes_a_guests_job_and_so_may_the_guest(core: CoreRig) -> None:
    core.ready("worker")
    alice, boss = core.user().upload(), core.user(BOSS).upload()
    job, waiting = alice.submit(), alice.submit()
    alice.ask(Attach(job))
    assert boss.ask(Pause(job)) == boss.ask(Pause(waiting)) == Done()
    assert core.told(inside.YieldRun) == [inside.YieldRun(job)]
    core.child("worker", inside.WorkerYielded(job, 1, 7))
    core.settle()
    assert [info.paused for info in alice.ask(ListJobs()).jobs] == [True, True]
    assert len(core.told(inside.Run)) == 1, "nothing of the guest runs now"
    assert "It pauses after this step. An admin of the server asked for it." in [e.text for e in alice.events(job)]
    assert boss.ask(Resume(job)) == alice.ask(Resume(waiting)) == Done()
    core.settle()
    assert core.run(job).attempt == 2


@pytest.mark.parametrize("kind", [Cancel, Pause, Resume, Attach, ResultAck])
def test_another_artist_reaches_no_foreign_job(core: CoreRig, kind) -> None:
    job = core.user().upload().submit()
    assert code_of(core.user(BOB).ask(kind(job))) == "JOB.UNKNOWN"
    assert not core.state.jobs[job].row.paused


def test_what_a_foreign_job_makes_is_not_the_admins(core: CoreRig) -> None:
    job = core.user().upload().submit()
    boss = core.user(BOSS)
    for message in (Attach(job), Reorder(job), ResultAck(job)):
        assert code_of(boss.ask(message)) == "JOB.UNKNOWN"


def test_an_admin_that_is_one_no_more_reaches_no_foreign_job(core: CoreRig) -> None:
    """His session is older than that."""
    job, boss = core.user().upload().submit(), core.user(BOSS)
    former = core.state.clients[BOSS]
    core.core.set_clients({**core.state.clients, BOSS: type(former)(former.name, BOSS, core.state.clients[BOB].role)})
    assert code_of(boss.ask(Cancel(job))) == "JOB.UNKNOWN"
    assert code_of(boss.ask(ListJobs(all_users=True))) == "AUTH.FORBIDDEN"


def test_a_job_of_a_machine_that_is_not_on_the_list_any_more_has_the_beginning_of_its_key(core: CoreRig) -> None:
    alice, boss = core.user().upload(), core.user(BOSS)
    job = alice.submit()
    alice_key = core.state.jobs[job].row.user
    core.core.set_clients({key: client for key, client in core.state.clients.items() if key != alice_key})
    core.settle()
    assert [info.owner for info in boss.ask(ListJobs(all_users=True)).jobs] == [alice_key[:8]]
