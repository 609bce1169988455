# SPDX-License-Identifier: Apache-2.0
"""What a restart and the passing of days do to jobs, blobs and checkpoints."""

import hashlib
import json
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from blender_addon.protocol.arrays import DType
from blender_addon.protocol.messages import (
    BlobNeed,
    BlobPut,
    BlobQuery,
    Cancel,
    Error,
    Get,
    JobState,
    MapFile,
    ResultAck,
    Status,
    Submit,
)
from server.broker.disk_words import DiskRoom
from server.broker.supervision.housekeeping import Known, Swept, sweep
from server.children import messages as inside
from server.config import DAY, GIB, HOUR, QuotaConfig, Retention
from server.storage.quarantine import REASONS
from tests.server.broker.core_rig import CoreRig, code_of
from tests.server.broker.rig import BLOBS, spec


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
    core.pass_time(DAY - 60)
    new = alice.submit()
    core.finish(new)
    core.pass_time(400)
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
    for path in core.paths.blobs.rglob("*"):
        os.utime(path, (core.ports.wall_clock, core.ports.wall_clock))
    core.pass_time(DAY + HOUR)
    unused = hashlib.sha256(b"never used").hexdigest()
    assert not core.store.has(unused)
    assert isinstance(alice.ask(BlobQuery((unused,)), bulk=True), BlobNeed)
    assert code_of(alice.ask(Get(unused, 0, 1), bulk=True)) == "INPUT.MISSING_BLOB"
    assert all(core.store.has(hashlib.sha256(data).hexdigest()) for data in BLOBS)


def test_blobs_that_a_client_has_just_asked_about_stay_for_its_submit(core: CoreRig) -> None:
    alice = core.user().upload()
    core.ports.clock, core.ports.wall_clock = core.ports.clock + DAY + HOUR, core.ports.wall_clock + DAY + HOUR
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
    core.pass_time(2 * DAY)
    assert core.paths.checkpoint(job).exists()
    alice.ask(ResultAck(job))
    core.pass_time(2 * DAY)
    assert not core.paths.checkpoint(job).exists()


def test_a_disk_that_runs_full_stops_new_runs_and_lets_running_ones_end(make_core) -> None:
    core = make_core(quotas=QuotaConfig(disk_floor=1 << 62))
    core.ready("worker")
    alice = core.user().upload()
    first, second = alice.submit(), alice.submit()
    core.housekeeping.tick(core.ports.clock)
    core.settle()
    assert core.state.disk.is_low
    core.finish(first)
    core.tick(1.0)
    assert [run.job for run in core.told(inside.Run)] == [first]
    core.state.disk = DiskRoom(1, 1)
    core.tick(1.0)
    assert core.told(inside.Run)[-1].job == second


@pytest.mark.parametrize(
    ("total", "free", "floor", "is_low"),
    [
        (1000 * GIB, 4.9, None, True),
        (1000 * GIB, 5.1, None, False),
        (16 * GIB, 0.9, None, False),
        (16 * GIB, 0.7, None, True),
        (1000 * GIB, 0.6, 0.5, False),
        (1000 * GIB, 40, 50, True),
        (1 * GIB, 0.06, None, False),
        (1000 * GIB, 0, 0, False),
    ],
)
def test_the_floor_of_the_disk_is_said_and_small_disks_work(
    make_core, monkeypatch, caplog, total: int, free: float, floor: float | None, is_low: bool
) -> None:
    """It was 5 GiB, whatever the disk, and neither an option nor a message named it."""
    quotas = QuotaConfig(disk_floor=None if floor is None else round(floor * GIB))
    core = make_core(quotas=quotas)
    usage = SimpleNamespace(total=total, free=round(free * GIB))
    monkeypatch.setattr("server.broker.supervision.housekeeping.shutil.disk_usage", lambda _path: usage)
    alice = core.user().upload()
    core.pass_time(6)
    answers = [alice.ask(BlobPut("0" * 64, 9, 0), b"x", bulk=True), alice.ask(Submit("1" * 32, spec()))]
    assert [isinstance(answer, Error) for answer in answers] == [is_low, is_low]
    for answer in answers if is_low else ():
        assert code_of(answer) == "RES.DISK"
        assert f"{usage.free / GIB:.1f} GiB free" in answer.error.text or "MiB free" in answer.error.text
        assert "its disk floor" in answer.error.text
        assert "--disk-floor" in answer.error.hint
    facts = alice.ask(Status()).facts
    assert facts["disk_needed"] == quotas.floor_of(total)
    said = [record.getMessage() for record in caplog.records if "takes on nothing new" in record.getMessage()]
    assert len(said) == is_low


def test_a_floor_that_checkpoints_need_names_no_option(core: CoreRig, monkeypatch) -> None:
    """A lower floor would not help."""
    core.ready("worker")
    alice = core.user().upload()
    job = alice.submit()
    core.paths.checkpoint(job).write_bytes(bytes(3 << 20))
    usage = SimpleNamespace(total=GIB, free=8 << 20)
    monkeypatch.setattr("server.broker.supervision.housekeeping.shutil.disk_usage", lambda _path: usage)
    core.pass_time(6)
    error = alice.ask(Submit("1" * 32, spec())).error
    assert error.text == (
        "The server's disk has 8 MiB free, and the server takes on nothing new below 9 MiB (the checkpoints of running "
        "jobs may take that)."
    )
    assert "--disk-floor" not in error.hint


def test_a_clock_that_jumps_by_days_deletes_nothing(core: CoreRig) -> None:
    core.ready("worker")
    alice = core.user().upload().upload(b"never used")
    job = alice.submit()
    core.paths.checkpoint(job).write_bytes(b"x")
    result = core.finish(job)
    alice.ask(ResultAck(job))
    for path in core.paths.blobs.rglob("*"):
        os.utime(path, (core.ports.wall_clock, core.ports.wall_clock))
    for jump in (400 * DAY, -800 * DAY, 4000 * DAY):
        core.ports.wall_clock += jump
        core.pass_time(HOUR)
        assert core.state.jobs.keys() == {job}
        assert core.paths.checkpoint(job).exists()
        assert core.store.has(hashlib.sha256(b"never used").hexdigest())
        assert core.store.has(result.config_json_sha256)
    core.pass_time(8 * DAY)
    assert not core.state.jobs, "after the jumps, time goes on as before"


def test_the_sweep_sends_what_the_journal_does_not_know_to_quarantine(core: CoreRig) -> None:
    alice = core.user().upload()
    job = alice.submit()
    orphan, lost = core.store.put(b"orphan"), core.paths.job("0" * 32)
    lost.mkdir()
    (lost / "spec.msgpack").write_bytes(b"spec")
    known = Known(jobs={job}, blobs=core.journal.blobs())
    keep, places = Retention(), (core.store.path(orphan), lost, *(core.store.path(name) for name in known.blobs))
    for path in places:
        os.utime(path, (core.ports.wall_clock, core.ports.wall_clock))
    assert sweep(core.store, core.paths, known, core.age, keep) == Swept(0, 0)
    core.ports.clock, core.ports.wall_clock = core.ports.clock + 2 * HOUR, core.ports.wall_clock + 2 * HOUR
    assert sweep(core.store, core.paths, known, core.age, keep) == Swept(0, 2)
    assert not core.store.has(orphan)
    assert not lost.exists()
    assert core.paths.spec(job).is_file()
    assert all(core.store.has(name) for name in known.blobs)
    (folder,) = core.paths.quarantine.iterdir()
    assert (folder / "jobs" / lost.name / "spec.msgpack").read_bytes() == b"spec"
    assert (folder / "blobs" / orphan[:2] / orphan).read_bytes() == b"orphan"
    assert len((folder / REASONS).read_text().splitlines()) == 2
    os.utime(folder, (core.ports.wall_clock, core.ports.wall_clock))
    core.pass_time(29 * DAY)
    assert folder.exists()
    core.pass_time(2 * DAY)
    assert not folder.exists(), "after a month it goes"


def test_nothing_that_artists_write_is_in_the_log(core: CoreRig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    core.ready("worker")
    alice = core.user().upload()
    job = alice.submit("my secret chair")
    core.finish(job)
    assert "weathered oak" not in caplog.text
    assert "secret chair" not in json.dumps(caplog.text)
