# SPDX-License-Identifier: Apache-2.0
"""The broker's logic alone: time stands still until told, children and clients are played by hand."""

import hashlib
import io
import uuid
from collections import deque
from pathlib import Path

from blender_addon.protocol.codec import Envelope, encode, request_id
from blender_addon.protocol.messages import (
    Accepted,
    BlobOk,
    BlobPut,
    Credit,
    Error,
    Event,
    Hello,
    JobEvent,
    JobResult,
    ModelInfo,
    Submit,
    Welcome,
)
from server.broker.core import BrokerCore
from server.broker.ports import Address, Channel
from server.broker.scheduling.recovery import recover
from server.broker.sessions.auth import AllowedClient, Role
from server.broker.state import BrokerState
from server.broker.supervision.housekeeping import Housekeeping
from server.children.messages import Beat, GateVerdict, Ready, Run, Validate, WorkerDone, pack
from server.config import QuotaConfig, ServerConfig, ServerPaths
from server.storage.age import AgeClock, clock_file
from server.storage.blobs import BlobStore
from server.storage.journal import Journal
from tests.server.broker.rig import BLOBS, spec

MODELS = (ModelInfo("pocket", "installed"), ModelInfo("sdxl", "missing"))
ALICE, BOB, BOSS = "a" * 40, "b" * 40, "c" * 40
CLIENTS = {
    ALICE: AllowedClient("alice", ALICE, Role.ARTIST),
    BOB: AllowedClient("bob", BOB, Role.ARTIST),
    BOSS: AllowedClient("boss", BOSS, Role.ADMIN),
}


class Process:
    """A `ChildProcess` that is nothing but its exit code."""

    pid = 1

    def __init__(self, key: str) -> None:
        self.key = key
        self.code: int | None = None
        self.calls: list[str] = []
        self.stdin = io.BytesIO()

    def dump_stacks(self) -> None:
        self.calls.append("stacks")

    def stop(self) -> None:
        self.calls.append("stop")

    def kill(self) -> None:
        self.calls.append("kill")
        self.code = -9

    def poll(self) -> int | None:
        return self.code


class FakePorts:
    """Collects what is sent; does what takes time when `settle` is called."""

    def __init__(self, journal: Journal) -> None:
        self.clock, self.wall_clock = 1000.0, 1_700_000_000.0
        self.database = journal
        self.sent: list[tuple[Address, Envelope]] = []
        self.to_children: list[tuple[bytes, object]] = []
        self.processes: dict[tuple[str, int], Process] = {}
        self.todo: deque = deque()
        self.cuts: list[Address] = []
        self.backlogs: dict[Address, int] = {}
        self.allowed: tuple[str, ...] = ()
        self.broken_disk: Exception | None = None
        self.broken_journal: Exception | None = None
        self.broken_spawn: Exception | None = None

    def now(self) -> float:
        return self.clock

    def wall(self) -> float:
        return self.wall_clock

    def send(self, address, envelope) -> None:
        encode(envelope)
        self.sent.append((address, envelope))

    def backlog(self, address: Address) -> int:
        return self.backlogs.get(address, 0)

    def cut(self, address: Address) -> None:
        self.cuts.append(address)

    def journal(self, operation, done, *, essential=False) -> None:
        def work():
            if self.broken_journal is not None and not essential:
                raise self.broken_journal
            with self.database.transaction():
                return operation(self.database)

        self.todo.append((work, done))

    def disk(self, work, done, *, bulk=False) -> None:
        def run():
            if self.broken_disk is not None:
                raise self.broken_disk
            return work()

        self.todo.append((run, done))

    def spawn(self, settings, done) -> None:
        def run():
            if self.broken_spawn is not None:
                raise self.broken_spawn
            process = Process(settings.own_public)
            self.processes[settings.role, settings.index] = process
            return process

        self.todo.append((run, done))

    def allow_children(self, keys) -> None:
        self.allowed = tuple(keys)

    def to_child(self, rid, message) -> None:
        self.to_children.append((rid, message))

    def child_endpoint(self) -> tuple[str, str]:
        return "tcp://127.0.0.1:1", "s" * 40

    def settle(self) -> None:
        while self.todo:
            work, done = self.todo.popleft()
            try:
                result, error = work(), None
            except Exception as failure:  # noqa: BLE001 - as the loop does
                result, error = None, failure
            done(result, error)


class User:
    """One session of a user, with the rig's clock standing still."""

    def __init__(self, rig: "CoreRig", key: str) -> None:
        self.rig = rig
        number = uuid.uuid4().bytes[:5]
        self.ctl = Address(Channel.CTL, b"c" + number, key)
        self.bulk = Address(Channel.BULK, b"b" + number, key)
        self.session: str | None = None

    def hello(self) -> "User":
        self.session = None
        welcome = self.ask(Hello(((1, 0),), "test"))
        assert isinstance(welcome, Welcome)
        self.session = welcome.session
        assert isinstance(self.ask(Hello(((1, 0),), "test", self.session), bulk=True), Welcome)
        return self

    def post(self, message, *buffers, bulk=False, session=None) -> str:
        envelope = Envelope(message, request_id(), session=session or self.session, buffers=buffers)
        self.rig.core.received(self.bulk if bulk else self.ctl, encode(envelope))
        return envelope.id

    def ask(self, message, *buffers, bulk=False, session=None):
        """Send, let all happen, and return the one answer."""
        return self.envelope(message, *buffers, bulk=bulk, session=session).message

    def envelope(self, message, *buffers, bulk=False, session=None) -> Envelope:
        wanted = self.post(message, *buffers, bulk=bulk, session=session)
        self.rig.settle()
        answers = [envelope for _address, envelope in self.rig.ports.sent if envelope.re == wanted]
        assert len(answers) == 1, [type(envelope.message).__name__ for envelope in answers]
        return answers[0]

    def upload(self, *blobs: bytes) -> "User":
        for data in blobs or BLOBS:
            answer = self.ask(BlobPut(hashlib.sha256(data).hexdigest(), len(data), 0), data, bulk=True)
            assert isinstance(answer, BlobOk), answer
            assert answer.complete
        return self

    def submit(self, name="", *, key=None, priority="interactive") -> str:
        answer = self.ask(Submit(key or uuid.uuid4().hex, spec(name, priority)))
        assert isinstance(answer, Accepted), answer
        return answer.job

    def credit(self, amount=1 << 20) -> None:
        self.post(Credit(amount), bulk=True)

    def received(self, kind, *, bulk=False) -> list:
        address = self.bulk if bulk else self.ctl
        return [e.message for to, e in self.rig.ports.sent if to == address and isinstance(e.message, kind)]

    def events(self, job: str) -> list[JobEvent]:
        return [message.event for message in self.received(Event) if message.event.job == job]


class CoreRig:
    """A core on a real journal and a real blob store. `auto_gate`: the gate says yes to everything."""

    def __init__(self, root: Path, **config) -> None:
        self.paths = ServerPaths(root)
        self.config = ServerConfig(**{"paths": self.paths, "quotas": QuotaConfig(disk_floor=0), **config})
        self.auto_gate = True
        self.boot()

    def boot(self) -> None:
        """Start, or start again after `crash`."""
        self.paths.jobs.mkdir(parents=True, exist_ok=True)
        self.store = BlobStore(self.paths.blobs)
        self.journal = Journal(self.paths.journal)
        self.journal._db.execute("PRAGMA synchronous = OFF")  # No test here cuts the power.
        before = getattr(self, "ports", None)
        self.ports = FakePorts(self.journal)
        if before is not None:  # The wall clock goes on over a restart.
            self.ports.wall_clock = before.wall_clock
        self.state = BrokerState(self.config, self.ports, uuid.uuid4().hex, dict(CLIENTS))
        recover(self.journal, self.state)
        self.core = BrokerCore(self.state, self.store, bulk_port=1)
        if not self.paths.clock.exists():
            self.paths.clock.write_bytes(clock_file(self.ports.wall()))
        self.age = AgeClock(self.paths.clock, self.ports.wall, self.ports.now)
        self.housekeeping = Housekeeping(self.state, self.store, self.age)
        self.core.start()
        self.settle()
        self.ready("gate")

    def crash(self) -> None:
        """The broker is gone, with all that waited."""
        self.ports.todo.clear()
        self.core.uploads.close()
        self.journal.close()

    def restart(self) -> None:
        self.crash()
        self.boot()

    def user(self, key: str = ALICE) -> User:
        return User(self, key).hello()

    def settle(self) -> None:
        """Let disk, journal and gate do all that waits."""
        while self.ports.todo:
            self.ports.settle()
            if self.auto_gate:
                self.judge_all()

    def judge_all(self) -> None:
        seen = [message for rid, message in self.ports.to_children if rid == b"gate0"]
        self.ports.to_children = [(rid, message) for rid, message in self.ports.to_children if rid != b"gate0"]
        for message in seen:
            if isinstance(message, Validate):
                self.child("gate", GateVerdict(message.job, True))

    def child(self, role: str, message, *payload: bytes, index=0) -> None:
        """A message of a child."""
        process = self.ports.processes[role, index]
        self.core.child_received(process.key, f"{role}{index}".encode(), [pack(message), *payload])

    def ready(self, role: str, index=0) -> None:
        self.child(role, Ready(role, index, 1, {}, ("cpu",), MODELS), index=index)
        self.settle()

    def told(self, kind, role="worker", index=0) -> list:
        """Messages of a kind that went to a child."""
        return [m for rid, m in self.ports.to_children if rid == f"{role}{index}".encode() and isinstance(m, kind)]

    def run(self, job: str, index=0) -> Run:
        """The newest Run of a job in a worker."""
        return [message for message in self.told(Run, index=index) if message.job == job][-1]

    def worker(self) -> Process:
        return self.ports.processes["worker", 0]

    def pass_time(self, seconds: float) -> None:
        """Time passes for both clocks, and the housekeeping looks; the core itself sees nothing of it."""
        self.ports.clock, self.ports.wall_clock = self.ports.clock + seconds, self.ports.wall_clock + seconds
        self.housekeeping.tick(self.ports.clock)
        self.settle()

    def end(self, role="worker", index=0, code=-9) -> None:
        """A child's process ends."""
        self.ports.processes[role, index].code = code
        self.tick()

    def tick(self, seconds=0.0) -> None:
        """Time passes, in steps that are no jump of the clock."""
        while True:
            step = min(seconds, 1.0)
            self.ports.clock, self.ports.wall_clock = self.ports.clock + step, self.ports.wall_clock + step
            if self.ports.processes["gate", 0].code is None:
                self.child("gate", Beat(0))
            self.core.tick()
            self.core.turn()
            self.settle()
            seconds -= step
            if seconds <= 0:
                return

    def finish(self, job: str, index=0) -> JobResult:
        """The worker has done the job."""
        result = JobResult((), self.store.put(b"{}"), 1.0)
        self.child("worker", WorkerDone(job, self.run(job, index).attempt, result), index=index)
        self.settle()
        return result


def code_of(answer) -> str:
    assert isinstance(answer, Error), answer
    return answer.error.code.value
