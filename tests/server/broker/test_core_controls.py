# SPDX-License-Identifier: Apache-2.0
"""Pause, order, lists, figures, admins; and what a restart and the passing of days do."""

import hashlib
import json
import os
from dataclasses import replace

import pytest

from blender_addon.protocol.arrays import DType
from blender_addon.protocol.messages import (
    Attach,
    BlobNeed,
    BlobQuery,
    Cancel,
    Done,
    Drain,
    Error,
    FreeGpu,
    Get,
    JobState,
    ListJobs,
    MapFile,
    Metrics,
    Pause,
    Reorder,
    ResultAck,
    Resume,
    Status,
    Submit,
)
from server.broker import controls
from server.broker import internal as inside
from server.broker.housekeeping import sweep
from server.config import DAY, HOUR, QuotaConfig, Retention
from tests.server.broker.core_rig import BOB, BOSS, CoreRig, code_of
from tests.server.broker.rig import BLOBS, spec


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
    assert code_of(alice.ask(Pause(job))) == "INPUT.INVALID"
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
    monkeypatch.setattr(controls, "MAX_LISTED", 3)
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
    assert alice.ask(Status()).state == "ready"
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
    core.state.disk_low = True
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


def test_a_job_that_ran_when_the_server_ended_waits_again(core: CoreRig) -> None:
    core.ready("worker")
    alice = core.user().upload()
    job = alice.submit()
    core.child("worker", inside.WorkerCheckpoint(job, 4))
    core.settle()
    core.restart()
    core.ready("worker")
    row = core.state.jobs[job].row
    assert (row.state, row.attempt, row.restarts, row.crashes) == (JobState.RUNNING, 2, 1, 0)
    assert core.run(job).resume
    texts = [event.text for event in core.journal.events_after(job, 0)]
    assert "The server was started again." in texts


def test_a_job_that_takes_the_server_down_each_time_is_set_aside(core: CoreRig) -> None:
    core.ready("worker")
    alice = core.user().upload()
    job = alice.submit()
    for _ in range(core.config.supervision.restarts_without_checkpoint + 1):
        core.restart()
        core.ready("worker")
    assert core.state.jobs[job].row.error.code.value == "JOB.POISONED"


def test_old_results_go_by_age(make_core) -> None:
    core = make_core(retention=Retention(results_seconds=DAY))
    core.ready("worker")
    alice = core.user().upload()
    old = alice.submit()
    result = core.finish(old)
    core.ports.wall_clock += DAY - 60
    new = alice.submit()
    core.finish(new)
    core.ports.wall_clock += 120
    core.housekeeping.tick(core.ports.clock + 1000)
    core.settle()
    assert core.state.jobs.keys() == {new}
    assert not core.paths.job(old).exists()
    assert core.paths.job(new).exists()
    core.restart()
    assert core.state.jobs.keys() == {new}
    assert result.config_json_sha256 == core.state.jobs[new].row.result.config_json_sha256
    assert core.store.has(result.config_json_sha256)


def test_old_results_go_by_size(make_core) -> None:
    core = make_core(retention=Retention(results_bytes=150))
    core.ready("worker")
    alice = core.user().upload()
    jobs = []
    for _ in range(3):
        jobs.append(alice.submit())
        core.finish(jobs[-1])
        job = core.state.jobs[jobs[-1]]
        job.row = replace(job.row, result=replace(job.row.result, maps=(_map(100),)))
        core.ports.wall_clock += 1
    core.housekeeping.tick(core.ports.clock)
    core.settle()
    assert core.state.jobs.keys() == {jobs[-1]}


def _map(size: int):
    return MapFile("base_color", 1001, 16, 16, 3, DType.U8, "srgb", "png", "0" * 64, size)


def test_blobs_that_no_job_uses_go_after_a_day_and_inputs_stay(core: CoreRig) -> None:
    alice = core.user().upload().upload(b"never used")
    job = alice.submit()
    alice.ask(Cancel(job))
    core.ports.wall_clock += DAY + HOUR
    for path in core.paths.blobs.rglob("*"):
        os.utime(path, (1.0, 1.0))
    core.housekeeping.tick(core.ports.clock)
    core.settle()
    unused = hashlib.sha256(b"never used").hexdigest()
    assert not core.store.has(unused)
    assert isinstance(alice.ask(BlobQuery((unused,)), bulk=True), BlobNeed)
    assert code_of(alice.ask(Get(unused, 0, 1), bulk=True)) == "INPUT.MISSING_BLOB"
    assert all(core.store.has(hashlib.sha256(data).hexdigest()) for data in BLOBS)


def test_blobs_that_a_client_has_just_asked_about_stay_for_its_submit(core: CoreRig) -> None:
    alice = core.user().upload()
    core.ports.wall_clock += DAY + HOUR
    hashes = tuple(hashlib.sha256(data).hexdigest() for data in BLOBS)
    assert alice.ask(BlobQuery(hashes), bulk=True) == BlobNeed(())
    core.housekeeping.tick(core.ports.clock)
    core.settle()
    assert alice.submit() in core.state.jobs


def test_a_blob_that_goes_while_the_gate_looks_is_asked_for_again(core: CoreRig) -> None:
    core.auto_gate = False
    alice = core.user().upload()
    alice.post(Submit("1" * 32, spec()))
    core.settle()
    core.state.grants.clear()
    core.judge_all()
    core.settle()
    assert [message.error.code.value for message in alice.received(Error)] == ["INPUT.MISSING_BLOB"]


def test_checkpoints_go_a_day_after_the_result_was_fetched(core: CoreRig) -> None:
    core.ready("worker")
    alice = core.user().upload()
    job = alice.submit()
    core.paths.checkpoint(job).write_bytes(b"x")
    core.finish(job)
    core.ports.wall_clock += 2 * DAY
    core.housekeeping.tick(core.ports.clock)
    core.settle()
    assert core.paths.checkpoint(job).exists()
    alice.ask(ResultAck(job))
    core.ports.wall_clock += 2 * DAY
    core.housekeeping.tick(core.ports.clock + 1000)
    core.settle()
    assert not core.paths.checkpoint(job).exists()


def test_a_disk_that_runs_full_stops_new_runs_and_lets_running_ones_end(make_core) -> None:
    core = make_core(quotas=QuotaConfig(disk_floor=1 << 62))
    core.ready("worker")
    alice = core.user().upload()
    first, second = alice.submit(), alice.submit()
    core.housekeeping.tick(core.ports.clock)
    core.settle()
    assert core.state.disk_low
    core.finish(first)
    core.tick(1.0)
    assert [run.job for run in core.told(inside.Run)] == [first]
    core.state.disk_low = False
    core.tick(1.0)
    assert core.told(inside.Run)[-1].job == second


def test_the_sweep_removes_what_the_journal_does_not_know(core: CoreRig) -> None:
    alice = core.user().upload()
    job = alice.submit()
    orphan, lost = core.store.put(b"orphan"), core.paths.job("0" * 32)
    lost.mkdir()
    known = core.journal.blobs()
    assert sweep(core.paths, core.store, {job}, known, 3600.0) == 0
    for path in (core.store.path(orphan), lost, *(core.store.path(name) for name in known)):
        os.utime(path, (1.0, 1.0))
    assert sweep(core.paths, core.store, {job}, known, 3600.0) == 2
    assert not core.store.has(orphan)
    assert not lost.exists()
    assert core.paths.spec(job).is_file()
    assert all(core.store.has(name) for name in known)


def test_nothing_that_artists_write_is_in_the_log(core: CoreRig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    core.ready("worker")
    alice = core.user().upload()
    job = alice.submit("my secret chair")
    core.finish(job)
    assert "weathered oak" not in caplog.text
    assert "secret chair" not in json.dumps(caplog.text)
