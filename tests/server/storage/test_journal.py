# SPDX-License-Identifier: Apache-2.0
"""The journal and its thread: durable, in order, one end a job."""

import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.messages import EventKind, JobResult, JobState
from server.errors import JournalError
from server.storage import journal_thread
from server.storage.jobs import Job, JobRow
from server.storage.journal import Grant, Journal
from server.storage.journal_thread import JournalThread

ROOT = Path(__file__).resolve().parents[3]


def _row(number: int = 0) -> JobRow:
    return JobRow(f"{number:032x}", "alice", f"{number + 1000:032x}", "d" * 64, "chair", True, 1000.0 + number, number)


def _add(journal: Journal, row: JobRow, *grants: Grant) -> Job:
    job = Job(row)
    event = job.record(row, EventKind.STATE)
    with journal.transaction():
        journal.add(job.row, event, grants)
    return job


@pytest.fixture
def journal(tmp_path: Path):
    found = Journal(tmp_path / "journal.sqlite")
    yield found
    found.close()


def test_a_row_comes_back_as_it_was(journal: Journal) -> None:
    error = WireError(ErrorCode.RES_OOM, Retry.CHANGED, "Too big.", hint="Smaller.")
    job = _add(journal, _row())
    end = replace(
        job.row, state=JobState.FAILED, error=error, result=JobResult((), "0" * 64, 1.0), finished=1005.0, paused=True
    )
    event = job.record(end, EventKind.STATE)
    with journal.transaction():
        journal.finish(job.row, event, ())
    assert journal.jobs() == [job.row]
    assert journal.events_after(job.id, 1) == (event,)


def test_a_job_has_one_end_and_one_key(journal: Journal) -> None:
    job = _add(journal, _row())
    for _ in range(2):
        event = job.record(replace(job.row, state=JobState.CANCELLED), EventKind.STATE)
        with journal.transaction():
            if event.seq == 2:
                journal.save(job.row, event)
            else:
                with pytest.raises(sqlite3.IntegrityError):
                    journal.save(job.row, event)
    with pytest.raises(sqlite3.IntegrityError), journal.transaction():
        journal.add(replace(_row(1), key=_row(0).key), job.event(EventKind.STATE), ())
    with pytest.raises(JournalError, match="not in the journal"), journal.transaction():
        journal.save(_row(7))


def test_a_transaction_is_all_or_nothing(journal: Journal) -> None:
    def fail() -> None:
        with journal.transaction():
            journal.grant(Grant("alice", "0" * 64, 1, 1.0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert journal.grants() == []


def test_grants_go_when_no_job_of_the_user_uses_them(journal: Journal) -> None:
    used, unused = Grant("alice", "0" * 64, 1, 1.0), Grant("alice", "1" * 64, 1, 1.0)
    theirs, fresh = Grant("bob", "0" * 64, 1, 1.0), Grant("bob", "2" * 64, 1, 9.0)
    job = _add(journal, _row(), used)
    for grant in (unused, theirs, fresh):
        journal.grant(grant)
    assert set(journal.forget_unused_grants(5.0)) == {unused, theirs}
    assert journal.blobs() == {"0" * 64, "2" * 64}
    journal.forget_jobs([job.id])
    assert journal.jobs() == []
    assert journal.events_after(job.id, 0) == ()
    assert journal.forget_unused_grants(5.0) == [used]


def test_the_newest_version_and_damage_are_told(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    assert journal.check() == []
    journal._db.execute("PRAGMA user_version = 99")
    journal.close()
    with pytest.raises(JournalError, match="version 99"):
        Journal(path)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(JournalError, match="cannot be used"):
        Journal(path)


def test_synchronous_is_full(journal: Journal) -> None:
    assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


class _Loop:
    """Takes the calls of the journal's thread."""

    def __init__(self) -> None:
        self.outcomes: list = []
        self.arrived = threading.Condition()
        self.stuck: list[bool] = []

    def deliver(self, call) -> None:
        with self.arrived:
            call()
            self.arrived.notify_all()

    def done(self, result, error) -> None:
        self.outcomes.append(result if error is None else error)

    def wait(self, count: int) -> list:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.outcomes) >= count, 10)
        return self.outcomes


def test_operations_are_committed_in_order_and_reads_see_them(journal: Journal, tmp_path: Path) -> None:
    loop = _Loop()
    thread = JournalThread(Journal(tmp_path / "other.sqlite"), loop.deliver, loop.stuck.append)
    for number in range(20):
        thread.submit(lambda j, n=number: j.grant(Grant("alice", f"{n:064x}", n, 1.0)), loop.done)
        thread.submit(lambda j: len(j.grants()), loop.done)
    assert loop.wait(40)[1::2] == list(range(1, 21))
    thread.close()


def test_one_operation_that_fails_does_not_take_others_along(tmp_path: Path) -> None:
    loop = _Loop()
    thread = JournalThread(Journal(tmp_path / "journal.sqlite"), loop.deliver, loop.stuck.append)
    thread.submit(lambda j: j.grant(Grant("alice", "0" * 64, 1, 1.0)), loop.done)
    thread.submit(lambda j: j.save(_row()), loop.done, essential=True)
    thread.submit(lambda j: len(j.grants()), loop.done)
    outcomes = loop.wait(3)
    assert isinstance(outcomes[1], JournalError)
    assert outcomes[2] == 1
    thread.close()


def test_on_a_full_disk_what_is_essential_waits_and_the_rest_fails(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(journal_thread, "RETRY_SECONDS", 0.01)
    journal, loop, full = Journal(tmp_path / "journal.sqlite"), _Loop(), [True] * 3

    def write(j: Journal) -> str:
        if full:
            full.pop()
            raise sqlite3.OperationalError("database or disk is full")
        j.grant(Grant("alice", "0" * 64, 1, 1.0))
        return "kept"

    thread = JournalThread(journal, loop.deliver, loop.stuck.append)
    thread.submit(write, loop.done)
    assert isinstance(loop.wait(1)[0], JournalError)
    thread.submit(write, loop.done, essential=True)
    assert loop.wait(2)[1] == "kept"
    thread.submit(lambda _j: "after", loop.done)
    assert loop.wait(3)[2] == "after"
    assert loop.stuck[:2] == [True, True]
    assert loop.stuck[-1] is False
    thread.close()


def test_the_end_gives_up_what_a_full_disk_never_took(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(journal_thread, "RETRY_SECONDS", 0.01)
    loop = _Loop()

    def fail(_journal: Journal) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    thread = JournalThread(Journal(tmp_path / "journal.sqlite"), loop.deliver, loop.stuck.append)
    thread.submit(fail, loop.done, essential=True)
    thread.close()
    assert isinstance(loop.wait(1)[0], JournalError)


@pytest.mark.slow
def test_what_was_committed_is_there_after_a_kill(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from server.storage.journal import *\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for n in range(100000):\n"
        "    with journal.transaction():\n"
        "        journal.grant(Grant('alice', f'{n:064x}', n, 1.0))\n"
        "    print(n, flush=True)\n"
    )
    path = tmp_path / "journal.sqlite"
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
    with process:
        last = [process.stdout.readline() for _ in range(50)][-1]
        process.kill()
        rest = process.stdout.read()
    acknowledged = int((last + rest).split(b"\n")[-2] if rest else last)
    journal = Journal(path)
    assert journal.check() == []
    assert len(journal.grants()) >= acknowledged + 1
    journal.close()
