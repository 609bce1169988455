# SPDX-License-Identifier: Apache-2.0
"""Journals, damaged byte by byte and value by value: the server starts with what can be read, or with the newest whole
copy; users can list, watch and send jobs; and no file goes, save into quarantine."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import uuid
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from blender_addon.protocol.codec import Envelope, decode, encode
from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.messages import (
    Accepted,
    Attach,
    Cancel,
    Done,
    Error,
    Jobs,
    ListJobs,
    Message,
    Snapshot,
    Submit,
)
from server.broker.core import BrokerCore
from server.broker.ports import Address
from server.broker.scheduling.recovery import recover
from server.broker.state import BrokerState
from server.broker.supervision.housekeeping import Housekeeping, Known, sweep
from server.children.messages import Run, WorkerCheckpoint, WorkerFailed
from server.config import QuotaConfig, Retention, ServerConfig, ServerPaths
from server.errors import ServerError
from server.storage.age import AgeClock
from server.storage.blobs import BlobStore
from server.storage.journal_care import copy_journal, open_journal
from server.storage.quarantine import Quarantine
from tests.server.broker.core_rig import ALICE, BOB, CLIENTS, CoreRig, FakePorts
from tests.server.broker.rig import BLOBS, spec
from tests.server.fuzzing.damage import damaged_bytes
from tests.server.fuzzing.judge import WrongError, contents, lost, sentence

__all__ = ["Journals"]

_VALUES: tuple[Any, ...] = (
    None, 0, 1, -1, 2**31, 2**63 - 1, -(2**63), 0.5, -1.0, 1e308, float("inf"), float("-inf"), "", "x", "\0", "ä" * 900,
    "../../x", "/", "a" * 32, "f" * 64, "queued", "running", "succeeded", "failed", "cancelled", b"", b"\x80", b"\xc1",
    b"\x91" * 5000, b"\xdd\xff\xff\xff\xff", b"\0" * 300, "1", 7,
)  # fmt: skip
_TABLES = ("jobs", "events", "grants", "uses")
_SCHEMES = (
    "DROP TABLE jobs", "DROP TABLE events", "DROP TABLE grants", "DROP TABLE uses", "DROP INDEX one_end",
    "ALTER TABLE jobs RENAME COLUMN rank TO place", "ALTER TABLE jobs ADD COLUMN more TEXT", "PRAGMA user_version = 0",
    "PRAGMA user_version = 99", "PRAGMA user_version = -1", "CREATE TABLE other (a)", "DELETE FROM jobs",
    "DELETE FROM events", "DELETE FROM grants", "PRAGMA journal_mode = DELETE", "PRAGMA auto_vacuum = 1; VACUUM",
    "DROP INDEX uses_of_blob", "ALTER TABLE grants RENAME TO rights", "DELETE FROM events WHERE seq > 1",
)  # fmt: skip


class Rig(CoreRig):
    """The template's folder, with a copy of its journal that is older than its newest jobs."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        alice, bob = self.user(ALICE).upload(), self.user(BOB).upload(b"bob's own", *BLOBS)
        self.ready("worker")
        first = alice.submit("done")
        self.finish(first)
        failed = alice.submit("failed")
        self.child("worker", WorkerFailed(failed, self.run(failed).attempt, _ERROR))
        self.settle()
        copy_journal(self.paths, self.ports.wall)
        running = alice.submit("running")
        self.child("worker", WorkerCheckpoint(running, 3))
        bob.submit("waits", priority="batch")
        alice.ask(Cancel(alice.submit("cancelled")))
        self.tick(1.0)
        assert self.told(Run)
        self.crash()


_ERROR = WireError(ErrorCode.RES_OOM, Retry.LATER, "no room")


class _Old:
    """A clock to which everything is old: the hardest for what is kept by its age alone."""

    def age(self, since: float) -> float:
        return 1e9


class Journals:
    """Each case is a start of the server on a damaged copy of one folder."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._seed, self._folder = seed, folder
        self._template = folder / "template"
        Rig(self._template)
        self._kept = {name: digest for name, digest in contents(self._template).items() if _is_kept(name)}
        self._jobs = {path.name for path in (self._template / "jobs").iterdir()}

    def case(self, number: int) -> Sequence[str]:
        """See `Target`."""
        rng = Random(f"journal {self._seed} {number}")
        root = self._folder / "data"
        shutil.copytree(self._template, root)
        try:
            kind = self._damage(rng, ServerPaths(root))
            outcome = self._start(ServerPaths(root))
            gone = lost(self._kept, contents(root))
            if gone:
                raise WrongError(f"gone are {gone}")
            return [f"{kind}: {outcome}"]
        finally:
            shutil.rmtree(root)

    def close(self) -> None:
        """See `Target`."""

    # Damage

    def _damage(self, rng: Random, paths: ServerPaths) -> str:
        kind = rng.random()
        if rng.random() < 0.1:
            for copy in paths.journal_copies.iterdir():
                copy.write_bytes(damaged_bytes(rng, copy.read_bytes()))
        if kind < 0.3:
            paths.journal.write_bytes(damaged_bytes(rng, paths.journal.read_bytes()))
            return "bytes"
        if kind < 0.4:
            return self._files(rng, paths)
        with contextlib.closing(sqlite3.connect(paths.journal, isolation_level=None)) as db:
            if kind < 0.5:
                db.executescript(rng.choice(_SCHEMES))
                return "scheme"
            db.execute("PRAGMA ignore_check_constraints = ON")
            for _ in range(rng.choice((1, 1, 1, 2, 5))):
                with contextlib.suppress(sqlite3.Error, OverflowError):
                    self._value(rng, db)
        return "values"

    def _files(self, rng: Random, paths: ServerPaths) -> str:
        journal = paths.journal
        match rng.randrange(6):
            case 0:
                journal.with_name("journal.sqlite-wal").write_bytes(rng.randbytes(rng.choice((10, 5000))))
            case 1:
                journal.with_name("journal.sqlite-shm").write_bytes(rng.randbytes(40_000))
            case 2:
                journal.unlink()
            case 3:
                journal.unlink()
                journal.mkdir()
            case 4:
                shutil.rmtree(paths.journal_copies)
                journal.write_bytes(b"")
            case _:
                journal.unlink()
                journal.symlink_to(journal)
        return "files"

    def _value(self, rng: Random, db: sqlite3.Connection) -> None:
        table = rng.choice((*_TABLES, "jobs", "jobs"))
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        column = rng.choice(columns)
        rows = db.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
        row = rng.choice(rows)
        old = row[columns.index(column)]
        new = rng.choice(_VALUES) if rng.random() < 0.6 else _near(rng, old)
        where = " AND ".join(f"{name} IS ?" for name in columns)
        if isinstance(new, bytes) and rng.random() < 0.5:
            # A text whose bytes are none.
            db.execute(f"UPDATE {table} SET {column} = CAST(? AS TEXT) WHERE {where}", (new, *row))
        else:
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (new, *row))

    # The start, as `server.broker.main` does it

    def _start(self, paths: ServerPaths) -> str:
        try:
            journal = open_journal(paths, Quarantine(paths))
        except ServerError as error:
            sentence(error)
            return type(error).__name__
        ports = _Ports(journal)
        state = BrokerState(_config(paths), ports, uuid.uuid4().hex, dict(CLIENTS))
        state.fault = _fault
        try:
            recover(journal, state)
            known = Known(jobs=set(state.jobs), blobs=journal.blobs())
            rig = _Started(paths, state, ports, journal)
            swept = sweep(rig.store, paths, known, _Old(), Retention())
            rig.housekeeping.tick(ports.now())
            rig.settle()
            self._use(rig)
        finally:
            ports.todo.clear()
            journal.close()
        restored = "restored" if any(paths.quarantine.rglob("journal.sqlite")) else "as it was"
        return f"{restored}, {len(known.jobs)} jobs, {min(swept.quarantined, 1)} quarantined"

    def _use(self, rig: _Started) -> None:
        """Everybody comes back, looks, and sends a job."""
        for key in (ALICE, BOB):
            user = rig.user(key)
            jobs = user.ask(ListJobs())
            if not isinstance(jobs, Jobs):
                raise WrongError(f"LIST: {jobs}")
            for info in jobs.jobs:
                _expect(user.ask(Attach(info.job)), Snapshot)
            user.upload()
            answer = user.ask(Submit(uuid.uuid4().hex, spec("after")))
            _expect(answer, Accepted)
            assert isinstance(answer, Accepted)
            _expect(user.ask(Cancel(answer.job)), Done)
        rig.tick(2.0)


class _Ports(FakePorts):
    def send(self, address: Address, envelope: Envelope) -> None:
        super().send(address, envelope)
        if decode([bytes(frame) for frame in encode(envelope)]) != envelope:
            raise WrongError(f"a client reads another message than {envelope}")


class _Started(CoreRig):
    """A rig around what was started already."""

    def __init__(self, paths: ServerPaths, state: BrokerState, ports: FakePorts, journal: Any) -> None:
        self.paths, self.state, self.ports, self.journal = paths, state, ports, journal
        self.auto_gate = True
        self.store = BlobStore(paths.blobs)
        self.core = BrokerCore(state, self.store, bulk_port=1)
        self.age = AgeClock(paths.clock, ports.wall, ports.now)
        self.housekeeping = Housekeeping(state, self.store, self.age)
        self.core.start()
        self.settle()
        self.ready("gate")


def _config(paths: ServerPaths) -> ServerConfig:
    return ServerConfig(paths=paths, quotas=QuotaConfig(disk_floor=0))


def _fault(where: str, error: Exception) -> WireError:
    raise WrongError(f"fault in {where}: {type(error).__name__}: {error}") from error


def _expect(answer: Message, wanted: type[Message]) -> None:
    if not isinstance(answer, wanted):
        told = answer.error if isinstance(answer, Error) else answer
        raise WrongError(f"{wanted.TYPE} was expected, got {told}")


def _near(rng: Random, value: Any) -> Any:
    if isinstance(value, bytes):
        return damaged_bytes(rng, value)
    if isinstance(value, str):
        return damaged_bytes(rng, value.encode())[:2000].decode("utf-8", "replace")
    if isinstance(value, int):
        return rng.choice((-value, value + 1, float(value), str(value), value ^ 1 << rng.randrange(60)))
    return rng.choice((-(value or 1.0), (value or 1.0) * 1e9, str(value)))


def _is_kept(name: str) -> bool:
    return name.startswith(("jobs/", "blobs/")) and not name.startswith(("blobs/tmp", "blobs/partial"))
