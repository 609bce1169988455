# SPDX-License-Identifier: Apache-2.0
"""A real broker in a thread with fake children, and a minimal client that waits for answers."""

import hashlib
import threading
import time
import uuid
from pathlib import Path

import numpy as np
import zmq

from blender_addon.protocol.arrays import array_ref, blob_of
from blender_addon.protocol.codec import Envelope, decode, encode, request_id
from blender_addon.protocol.messages import (
    Accepted,
    Attach,
    BlobOk,
    BlobPut,
    Credit,
    Error,
    Event,
    Hello,
    JobEvent,
    JobState,
    Ping,
    Pong,
    Snapshot,
    Submit,
    Welcome,
)
from blender_addon.protocol.specs.job import MeshSpec, PromptSpec, TextureJobSpec
from server.broker.main import run_broker
from server.broker.sessions.auth import KeyPair
from server.broker.sessions.sessions import SILENCE_LIMIT
from server.config import QuotaConfig, ServerConfig, ServerPaths, Supervision
from server.storage.connection import Connection, read_connection
from tests.server.broker.fake_child import FakeChild

PING_AFTER = SILENCE_LIMIT / 4
_ALIVE = (1 << 31) - 1
POSITIONS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
FACES = np.array([[0, 1, 2]], np.int32)
UVS = np.array([[[0, 0], [1, 0], [0, 1]]], np.float32)


def spec(name: str = "", priority: str = "interactive") -> TextureJobSpec:
    """A triangle; `name` tells the fake children what to do."""
    mesh = MeshSpec(name="triangle", positions=array_ref(POSITIONS), faces=array_ref(FACES), corner_uvs=array_ref(UVS))
    prompt = PromptSpec(text="weathered oak")
    return TextureJobSpec(meshes=(mesh,), prompt=prompt, name=name, priority=priority)


BLOBS = [blob_of(array) for array in (POSITIONS, FACES, UVS)]


class FakeExecutor:
    """Runs fake children and remembers them. `broken`: each ends at once."""

    def __init__(self) -> None:
        self.children: list[tuple[str, FakeChild]] = []
        self.broken: set[str] = set()

    def spawn(self, role: str, index: int) -> FakeChild:
        child = FakeChild()
        self.children.append((role, child))
        if role in self.broken:
            child.stdin.close()
        return child

    def newest(self, role: str) -> FakeChild:
        return [child for name, child in self.children if name == role][-1]

    def reap(self) -> None:
        for _role, child in self.children:
            child.kill()
            child.stdin.close()
            child.join()


class Client:
    """DEALERs for both channels; waits for the answer to each request and keeps what comes unasked."""

    def __init__(self, connection: Connection, keys: KeyPair | None = None, timeout: float = 10.0) -> None:
        self.connection = connection
        self.timeout = timeout
        self.context = zmq.Context()
        keys = keys or KeyPair(connection.client_public, connection.client_secret)
        self.sockets = [self._connect(keys, port) for port in (connection.ctl_port, connection.bulk_port)]
        self.session: str | None = None
        self.spoke = time.monotonic()
        self.unasked: list[Envelope] = []
        self.welcome: Welcome | None = None

    def _connect(self, keys: KeyPair, port: int):
        socket = self.context.socket(zmq.DEALER)
        socket.linger = 0
        socket.curve_serverkey = self.connection.server_public.encode()
        socket.curve_publickey = keys.public.encode()
        socket.curve_secretkey = keys.secret.encode()
        socket.connect(f"tcp://{self.connection.host}:{port}")
        return socket

    def close(self) -> None:
        for socket in self.sockets:
            socket.close()
        self.context.term()

    def hello(self) -> Welcome:
        self.session = None
        self.welcome = self.ask(Hello(((1, 0),), "test"))
        assert isinstance(self.welcome, Welcome), self.welcome
        self.session = self.welcome.session
        assert isinstance(self.ask(Hello(((1, 0),), "test", self.session), bulk=True), Welcome)
        return self.welcome

    def post(self, message, *buffers: bytes, bulk: bool = False) -> str:
        self.spoke = time.monotonic()
        envelope = Envelope(message, request_id(), session=self.session, buffers=buffers)
        self.sockets[bulk].send_multipart(encode(envelope))
        return envelope.id

    def receive(self, timeout: float | None = None) -> Envelope | None:
        """What comes next, None after `timeout`. Says now and then that it is there, as real clients do: the broker
        drops a session that says nothing for `SILENCE_LIMIT`."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        poller = zmq.Poller()
        for socket in self.sockets:
            poller.register(socket, zmq.POLLIN)
        while True:
            if self.session is not None and time.monotonic() - self.spoke > PING_AFTER:
                self.post(Ping(_ALIVE))
            left = end - time.monotonic()
            ready = poller.poll(1000 * max(0.0, min(left, PING_AFTER)))
            if not ready and left <= PING_AFTER:
                return None
            for socket, _event in ready[:1]:
                envelope = decode(socket.recv_multipart())
                if envelope.message != Pong(_ALIVE):
                    return envelope

    def ask(self, message, *buffers: bytes, bulk: bool = False):
        wanted = self.post(message, *buffers, bulk=bulk)
        while (envelope := self.receive()) is not None:
            if envelope.re == wanted:
                return envelope.message
            self.unasked.append(envelope)
        raise AssertionError(f"no answer to {type(message).__name__} within {self.timeout} s")

    def upload(self, *blobs: bytes) -> None:
        for data in blobs or BLOBS:
            sha256 = hashlib.sha256(data).hexdigest()
            answer = self.ask(BlobPut(sha256, len(data), 0), data, bulk=True)
            assert isinstance(answer, BlobOk), answer
            assert answer.complete

    def submit(self, name: str = "", key: str | None = None, priority: str = "interactive") -> str:
        answer = self.ask(Submit(key or uuid.uuid4().hex, spec(name, priority)))
        assert isinstance(answer, Accepted), answer
        return answer.job

    def attach(self, job: str, after_seq: int = 0) -> Snapshot:
        answer = self.ask(Attach(job, after_seq))
        assert isinstance(answer, Snapshot), answer
        self.post(Credit(1 << 20), bulk=True)
        return answer

    def events(self, job: str, until=lambda event: event.state not in (JobState.QUEUED, JobState.RUNNING)):
        """Attach, and take events until one that is wanted; returns all, without progress."""
        found: list[JobEvent] = list(self.attach(job).events)
        while not (found and until(found[-1])):
            waiting = [envelope for envelope in self.unasked if isinstance(envelope.message, Event)]
            if waiting:
                self.unasked.remove(waiting[0])
                envelope = waiting[0]
            else:
                envelope = self.receive()
                assert envelope is not None, f"nothing more came after {found}"
            if not isinstance(envelope.message, Event):
                self.unasked.append(envelope)
            elif envelope.message.event.job == job:
                found.append(envelope.message.event)
        return found


def error_of(answer) -> str:
    assert isinstance(answer, Error), answer
    return answer.error.code.value


class Rig:
    """A broker that can be started, stopped and started again on the same data."""

    def __init__(self, root: Path) -> None:
        self.paths = ServerPaths(root)
        self.config = ServerConfig(
            paths=self.paths,
            quotas=QuotaConfig(disk_floor=0),
            supervision=Supervision(cancel_terminate=0.3, cancel_kill=0.3, drain_limit=5.0),
        )
        self.executor = FakeExecutor()
        self.clients: list[Client] = []
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self.failure: Exception | None = None

    def start(self, config: ServerConfig | None = None) -> None:
        self._stop = threading.Event()

        def run() -> None:
            try:
                run_broker(config or self.config, executor=self.executor, stop=self._stop)
            except Exception as error:  # noqa: BLE001 - shown by the test
                self.failure = error

        self._thread = threading.Thread(target=run, name="broker")
        self._thread.start()
        deadline = time.monotonic() + 60
        while read_connection(self.paths.connection) is None:
            assert self.failure is None, self.failure
            assert time.monotonic() < deadline, "the broker did not start"
            time.sleep(0.01)

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(30)
            assert not self._thread.is_alive(), "the broker did not end"
            self._thread = None

    def client(self, keys: KeyPair | None = None, hello: bool = True, timeout: float = 10.0) -> Client:
        connection = read_connection(self.paths.connection)
        assert connection is not None
        client = Client(connection, keys, timeout)
        self.clients.append(client)
        if hello:
            client.hello()
        return client

    def close(self) -> None:
        self.stop()
        for client in self.clients:
            client.close()
        self.executor.reap()
