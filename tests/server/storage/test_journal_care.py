# SPDX-License-Identifier: Apache-2.0
"""A lost or damaged journal is no new server: a copy takes its place, and nothing is deleted for it."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from blender_addon.protocol.messages import Cancel, ListJobs
from server.config import DAY, HOUR, ServerPaths
from server.errors import JournalError
from server.storage.journal import Journal
from server.storage.journal_care import copy_journal, open_journal
from server.storage.quarantine import REASONS, Quarantine, quarantined
from tests.server.broker.core_rig import CoreRig
from tests.server.broker.rig import BLOBS


@pytest.fixture
def core(tmp_path: Path):
    rig = CoreRig(tmp_path)
    yield rig
    rig.crash()


def opened(paths: ServerPaths) -> Journal:
    return open_journal(paths, Quarantine(paths))


def jobs_in(paths: ServerPaths) -> set[str]:
    journal = opened(paths)
    found = {row.job for row in journal.jobs()}
    journal.close()
    return found


def remove_journal(paths: ServerPaths) -> None:
    for path in paths.root.glob("journal.sqlite*"):
        path.unlink()


def empty(paths: ServerPaths) -> None:
    remove_journal(paths)
    paths.journal.touch()


def cut_in_half(paths: ServerPaths) -> None:
    data = paths.journal.read_bytes()
    remove_journal(paths)
    paths.journal.write_bytes(data[: len(data) // 2])


def other_bytes(paths: ServerPaths) -> None:
    remove_journal(paths)
    paths.journal.write_bytes(b"\0" * 40_000)


def a_page_of_noise(paths: ServerPaths) -> None:
    data = bytearray(paths.journal.read_bytes())
    page = 4096
    for start in range(page, len(data), page):
        data[start : start + 600] = random.Random(start).randbytes(600)
    remove_journal(paths)
    paths.journal.write_bytes(data)


def text(paths: ServerPaths) -> None:
    remove_journal(paths)
    paths.journal.write_text("Dropbox conflict copy")


def a_schema_that_is_no_text(paths: ServerPaths) -> None:
    """SQLite quotes the damaged word in its error, which Python cannot decode."""
    data = paths.journal.read_bytes()
    remove_journal(paths)
    assert b"CREATE TABLE jobs" in data
    paths.journal.write_bytes(data.replace(b"CREATE TABLE jobs", b"CREATE \xd2ABLE jobs"))


DAMAGES = [remove_journal, empty, cut_in_half, other_bytes, a_page_of_noise, text, a_schema_that_is_no_text]


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_newest_whole_copy_takes_the_place_of_a_lost_journal(core: CoreRig, damage) -> None:
    job = core.user().upload().submit("chair")
    assert copy_journal(core.paths) is not None
    core.crash()
    damage(core.paths)
    assert jobs_in(core.paths) == {job}
    reasons = "".join(path.read_text() for path in core.paths.quarantine.rglob(REASONS))
    assert "restored from the copy" in reasons
    core.boot()
    assert core.state.jobs.keys() == {job}
    assert all(core.store.has(name) for name in core.journal.blobs())


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_a_copy_the_list_begins_anew_and_nothing_is_deleted(core: CoreRig, damage) -> None:
    job = core.user().upload().submit("chair")
    core.crash()
    damage(core.paths)
    assert jobs_in(core.paths) == set()
    assert core.paths.spec(job).is_file()
    assert len(list(core.store.names())) == len(BLOBS)
    core.boot()


def test_a_damaged_copy_is_passed_over(core: CoreRig) -> None:
    job = core.user().upload().submit("chair")
    older = copy_journal(core.paths, wall=lambda: 1_000_000_000.0)
    core.user().submit("table")
    newer = copy_journal(core.paths, wall=lambda: 1_100_000_000.0)
    assert older is not None
    assert newer is not None
    newer.write_bytes(newer.read_bytes()[:5000])
    core.crash()
    remove_journal(core.paths)
    assert jobs_in(core.paths) == {job}
    assert not newer.exists()
    assert quarantined(core.paths).files == 1
    core.boot()


def test_a_new_folder_is_a_new_journal_without_a_word(tmp_path: Path) -> None:
    paths = ServerPaths(tmp_path)
    assert jobs_in(paths) == set()
    assert not paths.quarantine.exists()
    assert jobs_in(paths) == set()


def test_an_equal_copy_is_not_kept_twice_and_old_ones_go(core: CoreRig) -> None:
    user = core.user().upload()
    day = 86400.0
    for number in range(12):
        user.submit(f"job {number}")
        for hour in range(2):
            wall = 1_000_000_000.0 + number * day + hour * 3600.0
            assert (copy_journal(core.paths, wall=lambda wall=wall: wall) is None) == (hour == 1)
    names = sorted(path.name for path in core.paths.journal_copies.iterdir())
    assert len(names) == 7, names
    for number in range(4):
        user.submit(f"more {number}")
        copy_journal(core.paths, wall=lambda number=number: 1_000_000_000.0 + 11 * day + 7200.0 + number)
    assert len(list(core.paths.journal_copies.iterdir())) == 9, "the newest three, and one of each of six days before"


def test_a_copy_is_whole_while_the_journal_is_written(core: CoreRig) -> None:
    job = core.user().upload().submit("chair")
    with core.journal.transaction():
        core.journal._db.execute("DELETE FROM jobs")
        copy = copy_journal(core.paths)
        core.journal._db.execute("ROLLBACK")
        core.journal._db.execute("BEGIN")
    assert copy is not None
    assert sqlite3.connect(copy).execute("SELECT job FROM jobs").fetchall() == [(job,)]


def test_a_newer_servers_journal_is_left_alone(tmp_path: Path) -> None:
    paths = ServerPaths(tmp_path)
    journal = opened(paths)
    journal._db.execute("PRAGMA user_version = 99")
    journal.close()
    with pytest.raises(JournalError, match="version 99"):
        opened(paths)
    assert paths.journal.is_file()
    assert not paths.quarantine.exists()


SPOILT = {
    "state": "rnning", "rank": "first", "created": "yesterday", "result": b"\xc1\xc1", "error": b"",
    "seq": 1.5, "finished": b"x", "interactive": "yes", "name": b"\xff", "attempt": -1, "steps": -(2**63),
    "created ": float("inf"), "rank ": 2**63 - 1, "paused": 5, "name ": "ä" * 9000,
}  # fmt: skip
"""By column (with a blank: a second case of that column)."""


@pytest.mark.parametrize("column", SPOILT)
def test_one_bad_row_costs_that_job_and_not_the_start(core: CoreRig, column: str) -> None:
    user = core.user().upload()
    spoilt, sound = user.submit("spoilt", key="1" * 32), user.submit("sound")
    core.journal._db.execute(f"UPDATE jobs SET {column.strip()} = ? WHERE job = ?", (SPOILT[column], spoilt))
    core.restart()
    # Before, one number below 0 kept its owner from connecting: WELCOME lists the jobs.
    assert {info.job for info in core.user().ask(ListJobs()).jobs} == {spoilt, sound}
    assert core.state.jobs.keys() == {spoilt, sound}
    row = core.state.jobs[spoilt].row
    assert row.state.value == "failed"
    assert "record of this job was damaged" in row.error.text
    assert core.state.jobs[sound].row.state.value in ("queued", "running")
    core.restart()
    assert core.state.jobs.keys() == {spoilt, sound}, "and it is not found damaged again"
    assert core.state.jobs[spoilt].row == row


def test_a_row_without_an_owner_goes_and_the_others_stay(core: CoreRig) -> None:
    user = core.user().upload()
    lost, sound = user.submit("lost"), user.submit("sound")
    core.journal._db.execute("UPDATE jobs SET user = ? WHERE job = ?", (b"\0\1", lost))
    core.restart()
    assert core.state.jobs.keys() == {sound}


def test_damaged_events_and_grants_are_passed_over(core: CoreRig) -> None:
    job = core.user().upload().submit("chair")
    core.journal._db.execute("UPDATE events SET event = ? WHERE job = ? AND seq = 1", (b"\x93\x01", job))
    core.journal._db.execute("UPDATE grants SET size = 'big' WHERE sha256 = (SELECT min(sha256) FROM grants)")
    core.restart()
    assert all(event.seq > 1 for event in core.journal.events_after(job, 0))
    assert sum(len(blobs) for blobs in core.state.grants.values()) == len(BLOBS) - 1


def test_text_that_is_no_text_costs_its_row_and_not_the_start(core: CoreRig) -> None:
    user = core.user().upload()
    spoilt, nameless, sound = user.submit("spoilt", key="1" * 32), user.submit("nameless"), user.submit("sound")
    update = "UPDATE jobs SET {} = CAST(X'FF80' AS TEXT) WHERE job = ?"
    core.journal._db.execute(update.format("name"), (spoilt,))
    core.journal._db.execute("DELETE FROM events WHERE job = ?", (nameless,))
    core.journal._db.execute("DELETE FROM uses WHERE job = ?", (nameless,))
    core.journal._db.execute(update.format("job"), (nameless,))
    core.restart()
    assert core.state.jobs.keys() == {spoilt, sound}
    assert core.state.jobs[spoilt].row.name == ""
    core.restart()
    assert core.state.jobs.keys() == {spoilt, sound}


@pytest.mark.parametrize("name", ["../../../etc", "/", "", "a" * 31, "A" * 32])
def test_a_jobs_name_that_is_none_of_ours_reaches_no_folder(core: CoreRig, name: str) -> None:
    core.user().upload().submit("chair")
    core.journal._db.execute("DELETE FROM events")
    core.journal._db.execute("DELETE FROM uses")
    core.journal._db.execute("UPDATE jobs SET job = ?", (name,))
    core.restart()
    assert core.state.jobs == {}


@pytest.mark.parametrize("name", ["x", "../../x", "A" * 64, "f" * 63])
def test_a_grant_of_no_hash_is_none_and_hinders_no_cleaning(core: CoreRig, name: str) -> None:
    user = core.user().upload()
    user.submit("chair")
    core.journal._db.execute("UPDATE grants SET sha256 = ? WHERE sha256 = (SELECT min(sha256) FROM grants)", (name,))
    core.restart()
    faults: list[str] = []
    core.state.fault = lambda where, error: faults.append(f"{where}: {error}")
    assert sum(len(blobs) for blobs in core.state.grants.values()) == len(BLOBS) - 1
    for _ in range(12):
        core.pass_time(DAY / 4)
    assert faults == []


def test_an_event_of_another_job_is_not_shown(core: CoreRig) -> None:
    user = core.user().upload()
    first, second = user.submit("first"), user.submit("second")
    events = core.journal.events_after(second, 0)
    assert events
    core.journal._db.execute("UPDATE events SET event = (SELECT event FROM events WHERE job = ?) WHERE job = ? "
                             "AND seq = 1", (first, second))  # fmt: skip
    assert all(event.job == second for event in core.journal.events_after(second, 0))
    assert len(core.journal.events_after(second, 0)) == len(events) - 1


CHANGES = ["DROP TABLE uses", "DROP TABLE grants", "ALTER TABLE jobs RENAME COLUMN rank TO place"]


@pytest.mark.parametrize("change", CHANGES)
def test_a_journal_without_a_table_or_column_of_ours_is_a_damaged_one(core: CoreRig, change: str) -> None:
    job = core.user().upload().submit("chair")
    assert copy_journal(core.paths) is not None
    core.crash()
    with closing(sqlite3.connect(core.paths.journal)) as db:
        db.executescript(f"PRAGMA foreign_keys = OFF; {change}")
    assert jobs_in(core.paths) == {job}
    assert quarantined(core.paths).files >= 1
    core.boot()


@pytest.mark.slow
def test_a_time_of_its_end_from_before_it_was_made_makes_no_job_old(core: CoreRig) -> None:
    user = core.user().upload()
    core.ready("worker")
    job = user.submit("chair")
    core.finish(job)
    core.journal._db.execute("UPDATE jobs SET finished = 0.5, acked = 1.5 WHERE job = ?", (job,))
    core.restart()
    core.pass_time(HOUR)
    assert core.state.jobs.keys() == {job}
    assert core.paths.spec(job).is_file()
    for _ in range(40):
        core.pass_time(DAY / 4)
    assert core.state.jobs == {}


@pytest.mark.parametrize("change", ["seq = 'x'", "seq = -1", "seq = CAST(X'FF' AS TEXT)", "ends = 1"])
def test_events_whose_numbers_are_damaged_keep_no_server_from_starting(core: CoreRig, change: str) -> None:
    user = core.user().upload()
    core.ready("worker")
    running, waiting = user.submit("running"), user.submit("waiting")
    core.journal._db.execute(f"UPDATE events SET {change} WHERE job = ? AND seq = 1", (running,))
    core.journal._db.execute("UPDATE jobs SET seq = 0 WHERE job IN (?, ?)", (running, waiting))
    core.journal._db.execute("UPDATE jobs SET rank = 'x' WHERE job = ?", (waiting,))
    core.restart()
    assert core.state.jobs.keys() == {running, waiting}
    core.user().ask(Cancel(running))
    core.ready("worker")
    core.tick(2.0)
    core.restart()
    assert core.state.jobs[running].row.is_terminal
