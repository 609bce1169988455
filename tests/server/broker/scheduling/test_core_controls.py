# SPDX-License-Identifier: Apache-2.0
"""Pause, order, lists, figures, admins; and what a restart and the passing of days do."""

import sqlite3

from blender_addon.protocol.messages import (
    Attach,
    Cancel,
    Done,
    Drain,
    FreeGpu,
    ListJobs,
    Metrics,
    Pause,
    Reorder,
    ResultAck,
    Resume,
    Status,
)
from server.broker.disk_words import DiskRoom
from server.broker.scheduling import lists
from server.children import messages as inside
from tests.server.broker.core_rig import BOB, BOSS, CoreRig, code_of


def test_a_paused_job_waits_over_a_restart_until_it_is_resumed(core: CoreRig) -> None:
    alice = core.user().upload()
    job = alice.submit()
    alice.ask(Attach(job))
    assert alice.ask(Pause(job)) == alice.ask(Pause(job)) == Done()
    assert [event.text for event in alice.events(job)] == ["Paused."]
    core.ready("worker")
    assert core.told(inside.Run) == []
    core.restart()
    core.ready("worker")
    assert core.told(inside.Run) == []
    alice = core.user()
    assert alice.ask(ListJobs()).jobs[0].paused
    assert alice.ask(Resume(job)) == Done()
    core.settle()
    assert core.run(job).attempt == 1
    core.finish(job)
    assert code_of(alice.ask(Pause(job))) == "JOB.FINISHED"


def test_order_is_kept_over_a_restart(core: CoreRig) -> None:
    alice = core.user().upload()
    first, second, third = (alice.submit() for _ in range(3))
    assert alice.ask(Reorder(third, first)) == Done()
    assert alice.ask(Reorder(first)) == Done()
    core.restart()
    core.ready("worker")
    ran = []
    for _ in range(3):
        ran.append(core.told(inside.Run)[-1].job)
        core.finish(ran[-1])
    assert ran == [third, second, first]
    alice = core.user()
    assert code_of(alice.ask(Reorder(first, second))) == "INPUT.INVALID"


def test_a_job_keeps_its_new_place_when_its_worker_is_lost(core: CoreRig) -> None:
    alice = core.user().upload()
    first, _second, third = (alice.submit() for _ in range(3))
    assert alice.ask(Reorder(third, first)) == Done()
    core.ready("worker")
    core.end()
    core.tick(60.0)
    core.ready("worker")
    assert [run.job for run in core.told(inside.Run)] == [third, third], "and not the first one"


def test_a_new_order_is_written_though_nothing_else_can_be(core: CoreRig) -> None:
    alice = core.user().upload()
    first, second = (alice.submit() for _ in range(2))
    core.ports.broken_journal = sqlite3.OperationalError("database or disk is full")
    assert alice.ask(Reorder(second, first)) == Done()
    core.ports.broken_journal = None
    core.restart()
    core.ready("worker")
    assert core.told(inside.Run)[-1].job == second


def test_a_reorder_never_touches_another_users_job(core: CoreRig) -> None:
    alice, bob = core.user().upload(), core.user(BOB).upload()
    mine, theirs = bob.submit(), alice.submit()
    assert code_of(bob.ask(Reorder(mine, theirs))) == "JOB.UNKNOWN"


def test_a_batch_job_lets_interactive_ones_pass(core: CoreRig) -> None:
    alice = core.user().upload()
    batch, urgent = alice.submit(priority="batch"), alice.submit()
    positions = {info.job: info.position for info in alice.ask(ListJobs()).jobs}
    assert positions == {urgent: 0, batch: 1}
    core.ready("worker")
    assert [run.job for run in core.told(inside.Run)] == [urgent]


def test_a_list_that_would_be_too_long_shows_what_is_not_over_and_the_newest(core: CoreRig, monkeypatch) -> None:
    monkeypatch.setattr(lists, "MAX_LISTED", 3)
    alice = core.user().upload()
    jobs = []
    for _ in range(5):
        core.ports.wall_clock += 1
        jobs.append(alice.submit("x" * 900))
    for job in jobs[1:]:
        alice.ask(Cancel(job))
    assert [info.job for info in alice.ask(ListJobs()).jobs] == [jobs[4], jobs[3], jobs[0]]


def test_a_list_fits_into_a_header_whatever_the_names(core: CoreRig) -> None:
    alice = core.user().upload()
    for _ in range(100):
        alice.submit("ü" * 1900)
    assert 0 < len(alice.ask(ListJobs()).jobs) < 100


def test_a_long_history_comes_as_a_snapshot_and_events(core: CoreRig) -> None:
    core.ready("worker")
    alice = core.user().upload()
    job = alice.submit()
    for number in range(150):
        core.child("worker", inside.WorkerNotice(job, f"{number}" + "x" * 490))
    core.settle()
    snapshot = alice.ask(Attach(job))
    assert 0 < len(snapshot.events) < 152
    seqs = [event.seq for event in (*snapshot.events, *alice.events(job))]
    assert seqs == list(range(1, 153))
    assert alice.ask(Attach(job, 150)).events[0].seq == 151


def test_status_and_metrics_have_figures(core: CoreRig) -> None:
    alice = core.user().upload()
    core.ports.clock += 7.0
    assert (alice.ask(Status()).state, alice.ask(Status()).uptime_s) == ("ready", 7.0)
    job = alice.submit()
    core.ready("worker")
    report = alice.ask(Status())
    assert (report.running, report.queued, report.workers, report.devices) == (1, 0, 1, ("cpu",))
    assert report.memory > 1 << 20
    core.finish(job)
    text = alice.ask(Metrics()).text
    assert "pgc_server_jobs_succeeded_total 1\n" in text
    assert text.endswith("# EOF\n")
    for name in ("queue_depth", "loop_lag_seconds", "respawns_total", "auth_failures_total"):
        assert f"pgc_server_{name} " in text


def test_status_while_starting_draining_and_in_need(core: CoreRig) -> None:
    core.end("gate")
    assert core.core.controls.condition() == "starting"
    core.ready("gate")
    core.state.disk = DiskRoom(0, 1)
    assert core.core.controls.condition() == "degraded"
    core.core.drain()
    assert core.core.controls.condition() == "draining"


def test_only_admins_drain_and_free_the_gpu(core: CoreRig) -> None:
    core.ready("worker")
    alice, boss = core.user(), core.user(BOSS)
    for message in (FreeGpu(), Drain()):
        assert code_of(alice.ask(message)) == "AUTH.FORBIDDEN"
    assert not core.state.draining
    assert boss.ask(FreeGpu()) == Done()
    assert core.told(inside.FreeGpu)
    assert boss.ask(Drain()) == Done()
    assert core.state.draining


def test_a_result_is_acknowledged_once_it_is_there(core: CoreRig) -> None:
    core.ready("worker")
    alice = core.user().upload()
    job = alice.submit()
    assert code_of(alice.ask(ResultAck(job))) == "INPUT.INVALID"
    core.finish(job)
    assert alice.ask(ResultAck(job)) == alice.ask(ResultAck(job)) == Done()
    assert core.journal.jobs()[0].acked == core.ports.wall_clock
