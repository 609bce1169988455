# SPDX-License-Identifier: Apache-2.0
"""The journal: jobs, their events, and who may read which blob, in SQLite.

WAL with `synchronous=FULL`: what `transaction` returned from survives a power cut, if the disk honours fsync.
One thread uses a `Journal`; `server.storage.journal_thread` is that thread. Keep it off network file systems.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from blender_addon.protocol.messages import JobEvent
from server.errors import DamagedJournalError, JournalError
from server.storage.jobs import JobRow
from server.storage.journal_rows import COLUMNS, LARGEST, DamagedRow, Grant, event_of, grant_of, row_of, values_of
from server.storage.records import dump

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE jobs (
    job TEXT PRIMARY KEY, user TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, name TEXT NOT NULL,
    interactive INTEGER NOT NULL, created REAL NOT NULL, rank INTEGER NOT NULL, state TEXT NOT NULL,
    paused INTEGER NOT NULL, cancelling INTEGER NOT NULL, attempt INTEGER NOT NULL, crashes INTEGER NOT NULL,
    restarts INTEGER NOT NULL, checkpoint_step INTEGER NOT NULL, steps INTEGER NOT NULL, seq INTEGER NOT NULL,
    finished REAL, acked REAL, error BLOB, result BLOB, UNIQUE (user, key)
) WITHOUT ROWID;
CREATE TABLE events (
    job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE, seq INTEGER NOT NULL, ends INTEGER NOT NULL,
    event BLOB NOT NULL, PRIMARY KEY (job, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX one_end ON events (job) WHERE ends;
CREATE TABLE grants (
    user TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, used REAL NOT NULL,
    PRIMARY KEY (user, sha256)
) WITHOUT ROWID;
CREATE INDEX grants_of_blob ON grants (sha256);
CREATE TABLE uses (
    job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE, sha256 TEXT NOT NULL, PRIMARY KEY (job, sha256)
) WITHOUT ROWID;
CREATE INDEX uses_of_blob ON uses (sha256);
"""
_COLUMNS = ", ".join(COLUMNS)
_IDENTITY = frozenset({"job", "user", "key", "digest", "created"})
_INSERT = f"INSERT INTO jobs ({_COLUMNS}) VALUES ({', '.join(f':{name}' for name in COLUMNS)})"
_UPDATE = f"UPDATE jobs SET {', '.join(f'{n} = :{n}' for n in COLUMNS if n not in _IDENTITY)} WHERE job = :job"


_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Journal:
    """The database of jobs, events and grants; it is made where there is none.

    Attributes:
        is_new: whether it was made just now, or was empty.

    Raises:
        DamagedJournalError: the file is no database, or a broken one.
        JournalError: it cannot be opened, or is one of a newer server.
    """

    def __init__(self, path: Path) -> None:
        self.is_new = False
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise JournalError(_unusable(path, error)) from error
        try:
            # Bytes that are no text cost the row in which they stand, not the reading of all.
            self._db.text_factory = _as_text
            self._db.execute("PRAGMA busy_timeout = 5000")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._db.close()
            damaged = getattr(error, "sqlite_errorcode", None) in _DAMAGED
            raise (DamagedJournalError if damaged else JournalError)(_unusable(path, error)) from error
        except UnicodeDecodeError as error:  # What SQLite quotes of a damaged schema is no text.
            self._db.close()
            raise DamagedJournalError(_unusable(path, error)) from error
        except JournalError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if tables:
                raise DamagedJournalError("The journal has tables and no version.")
            self.is_new = True
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            raise JournalError(f"The journal has version {version}, this server writes {SCHEMA_VERSION}; update it.")
        elif (missing := _missing_columns(self._db)) is not None:
            raise DamagedJournalError(f"The journal has no {missing}.")

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Runs what is inside as one transaction: all or nothing, on the disk when it ends."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._roll_back("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """Runs what is inside as a part of a transaction that can fail alone."""
        self._db.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self._roll_back("ROLLBACK TO part")
            self._roll_back("RELEASE part")
            raise
        self._db.execute("RELEASE part")

    def _roll_back(self, statement: str) -> None:
        # After some errors, such as a full disk, SQLite has rolled back already.
        if self._db.in_transaction:
            self._db.execute(statement)

    def add(self, row: JobRow, event: JobEvent, inputs: Sequence[Grant]) -> None:
        """Adds a new job with its first event and the blobs that it reads."""
        self._db.execute(_INSERT, values_of(row))
        self._add_event(event, row.is_terminal)
        self._add_uses(row, inputs)

    def save(self, row: JobRow, event: JobEvent | None = None) -> None:
        """Saves new values of a job, with the event that tells of them.

        Raises:
            JournalError: the job is not in the journal.
            sqlite3.IntegrityError: a second terminal event.
        """
        if self._db.execute(_UPDATE, values_of(row)).rowcount != 1:
            raise JournalError(f"Job {row.job} is not in the journal.")
        if event is not None:
            self._add_event(event, row.is_terminal)

    def finish(self, row: JobRow, event: JobEvent, results: Sequence[Grant] = ()) -> None:
        """Saves the end of a job; its user may from now on read the result's blobs."""
        self.save(row, event)
        self._add_uses(row, results)

    def set_ranks(self, ranks: Iterable[tuple[str, int]]) -> None:
        """Sets a new order of queued jobs: (job, rank) each."""
        self._db.executemany("UPDATE jobs SET rank = ? WHERE job = ?", [(rank, job) for job, rank in ranks])

    def grant(self, grant: Grant) -> None:
        """Gives a user the right to read a blob, or renews the time of its use."""
        self._db.execute(
            "INSERT INTO grants VALUES (?, ?, ?, ?) ON CONFLICT (user, sha256) DO UPDATE SET used = excluded.used",
            (grant.user, grant.sha256, grant.size, grant.used),
        )

    def take_back(self, user: str, sha256: str) -> None:
        """Takes a grant back: the user may no longer read this blob."""
        self._db.execute("DELETE FROM grants WHERE user = ? AND sha256 = ?", (user, sha256))

    def touch(self, user: str, hashes: Iterable[str], used: float) -> None:
        """Notes that the user is about to use these blobs, as far as they are the user's."""
        self._db.executemany(
            "UPDATE grants SET used = ? WHERE user = ? AND sha256 = ?", [(used, user, sha256) for sha256 in hashes]
        )

    def events_after(self, job: str, seq: int) -> tuple[JobEvent, ...]:
        """Returns the journaled events of a job with a number above `seq`, in order."""
        rows = self._db.execute("SELECT seq, event FROM events WHERE job = ? AND seq > ? ORDER BY seq", (job, seq))
        events = (event_of(job, number, data) for number, data in rows)
        return tuple(event for event in events if event is not None)

    def jobs(self) -> list[JobRow | DamagedRow]:
        """Returns all jobs, oldest first. A row that is none costs that job alone."""
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY created, job").fetchall()
        return [row_of(values) for values in rows]

    def replace_damaged(self, damaged: DamagedRow, row: JobRow | None, event: JobEvent | None) -> None:
        """Puts a job's end in place of its damaged row, or nothing where it cannot even be said whose job it was."""
        if row is None:
            # As bytes, since what stands there need not be text.
            name = damaged.values["job"]
            raw = name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
            self._db.execute("DELETE FROM jobs WHERE job IS ? OR CAST(job AS BLOB) IS ?", (raw, raw))
            return
        self._db.execute("DELETE FROM events WHERE job = ? AND ends", (row.job,))
        self._db.execute("UPDATE jobs SET created = ? WHERE job = ?", (row.created, row.job))
        self.save(row, event)

    def last_seq(self, job: str) -> int:
        """Returns the number of the newest journaled event of a job; 0 without any."""
        numbers = "SELECT max(seq) FROM events WHERE job = ? AND typeof(seq) = 'integer' AND seq BETWEEN 0 AND ?"
        (seq,) = self._db.execute(numbers, (job, LARGEST)).fetchone()
        return seq or 0

    def in_line(self, row: JobRow) -> JobRow:
        """Returns the row with a number that no event of the job has yet passed; of a job that goes on, no event is its
        end.
        """
        if not row.is_terminal:
            self._db.execute("UPDATE events SET ends = 0 WHERE job = ? AND ends", (row.job,))
        return replace(row, seq=max(row.seq, self.last_seq(row.job)))

    def grants(self) -> list[Grant]:
        """Returns all grants; a damaged one counts as not given."""
        rows = self._db.execute("SELECT user, sha256, size, used FROM grants").fetchall()
        return [grant for values in rows if (grant := grant_of(values)) is not None]

    def forget_jobs(self, jobs: Iterable[str]) -> None:
        """Removes ended jobs with their events."""
        self._db.executemany("DELETE FROM jobs WHERE job = ?", [(job,) for job in jobs])

    def forget_unused_grants(self, before: float, is_old: Callable[[float], bool] = lambda used: True) -> list[Grant]:
        """Takes back, and returns, grants that no job uses and that were last touched before this time, as far as
        `is_old` agrees: a clock may have jumped.
        """
        rows = self._db.execute(
            "SELECT user, sha256, size, used FROM grants AS g WHERE used < ? AND NOT EXISTS ("
            "SELECT 1 FROM uses JOIN jobs USING (job) WHERE uses.sha256 = g.sha256 AND jobs.user = g.user)",
            (before,),
        ).fetchall()
        grants = [grant for values in rows if (grant := grant_of(values)) is not None and is_old(grant.used)]
        self._db.executemany("DELETE FROM grants WHERE user = ? AND sha256 = ?", [(g.user, g.sha256) for g in grants])
        return grants

    def blobs(self) -> set[str]:
        """Returns the hashes that some user may read or some job uses."""
        rows = self._db.execute("SELECT sha256 FROM grants UNION SELECT sha256 FROM uses")
        return {sha256 for (sha256,) in rows if isinstance(sha256, str)}

    def check(self) -> list[str]:
        """Runs SQLite's own integrity check; returns what it says, empty when all is well."""
        try:
            found = [str(text) for (text,) in self._db.execute("PRAGMA integrity_check")]
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            return [str(error)]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Closes the database."""
        self._db.close()

    def _add_event(self, event: JobEvent, ends: bool) -> None:
        self._db.execute("INSERT INTO events VALUES (?, ?, ?, ?)", (event.job, event.seq, ends, dump(event)))

    def _add_uses(self, row: JobRow, grants: Sequence[Grant]) -> None:
        for grant in grants:
            self.grant(grant)
            self._db.execute("INSERT OR IGNORE INTO uses VALUES (?, ?)", (row.job, grant.sha256))


def _missing_columns(db: sqlite3.Connection) -> str | None:
    """The first column of ours that a journal lacks, with its table."""
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(_SCHEMA)
        tables = [name for (name,) in fresh.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            there = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
            for row in fresh.execute(f"PRAGMA table_info({table})"):
                if row[1] not in there:
                    return f"{table}.{row[1]}"
    return None


def _as_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _unusable(path: Path, error: sqlite3.Error | UnicodeDecodeError) -> str:
    return f"The journal {path} cannot be used ({error}); see to the disk and to its rights, then start again."
