# SPDX-License-Identifier: Apache-2.0
"""A client with a key of its own that does what a server must bear: floods, damaged frames, broken-off uploads, huge
specifications, storms of connections, answers that it never reads. A process of its own.

    with HostileClient(address) as hostile:
        ...
    hostile.attacks  # how often it did each
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import select
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq

from blender_addon.client import ServerAddress
from blender_addon.protocol.arrays import ArrayRef, DType, blob_of
from blender_addon.protocol.codec import Envelope, encode, request_id
from blender_addon.protocol.messages import Attach, BlobOk, BlobPut, Get, Hello, Jobs, ListJobs, Ping, Submit
from tests.benchmarks.raw_client import RawClient, dealer
from tests.blender_addon.protocol.mutations import Mutator
from tests.e2e.server_rig import oracle_job

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
PAUSE = 0.5
"""Seconds between two attacks."""
_PATIENCE = 5.0


class HostileClient:
    """The process, from `with` until its end. `niceness`: more than that of the one who starts it."""

    def __init__(self, address: ServerAddress, niceness: int = 0) -> None:
        self._address = address
        self._niceness = niceness
        self.attacks: dict[str, int] = {}
        self.times: list[tuple[str, float, float]] = []
        """Each attack with its begin and end, in seconds of the monotonic clock."""
        self.exit_code: int | None = None

    def __enter__(self) -> HostileClient:
        command = [sys.executable, "-m", "tests.benchmarks.hostile_client"]
        if self._niceness:
            command = ["nice", "-n", str(self._niceness), *command]
        # In a session of its own: Linux shares the processor between sessions first, and by niceness inside of each.
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            start_new_session=True,
        )  # fmt: skip
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(self._address)) + "\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        told, _ = self._process.communicate()
        self.exit_code = self._process.returncode
        if told.strip():
            found = json.loads(told.strip().splitlines()[-1])
            self.attacks = found["attacks"]
            self.times = [(name, begun, ended) for name, begun, ended in found["times"]]


class Attacks:
    """Each attack takes a few seconds and leaves nothing open that it need not."""

    def __init__(self, address: ServerAddress, seed: int = 1) -> None:
        self._address = address
        self._random = random.Random(seed)
        self._mutator = Mutator(seed)
        self._context = zmq.Context()
        self._jobs: list[str] = []

    def all(self) -> list[Callable[[], None]]:
        """In the order in which they come, again and again."""
        return [
            self.pings, self.damaged_frames, self.many_frames, self.tiny_frames, self.long_headers, self.broken_uploads,
            self.huge_specs, self.sessions, self.strangers, self.never_reads, self.endless_jobs, self.raw_bytes,
        ]  # fmt: skip

    def close(self) -> None:
        """Close the sockets."""
        self._context.destroy(linger=0)

    def _client(self) -> RawClient:
        client = RawClient(self._context, self._address)
        client.hello()
        return client

    def _bare(self, bulk: bool = False) -> zmq.Socket:
        endpoint = self._address.bulk_endpoint if bulk else self._address.ctl_endpoint
        bare = dealer(self._context, endpoint, self._address, queue=2000)
        bare.sndtimeo = int(1000 * _PATIENCE)
        return bare

    def pings(self) -> None:
        """As many as go out in three seconds, and their answers are read late."""
        client, end = self._client(), time.monotonic() + 3.0
        while time.monotonic() < end:
            with suppress(zmq.Again):
                client.post(Ping(1))
        client.close()

    def damaged_frames(self) -> None:
        """Three thousand of all messages, on both channels."""
        bare = [self._bare(), self._bare(bulk=True)]
        for _ in range(3000):
            with suppress(zmq.Again):
                bare[self._random.randrange(2)].send_multipart(self._mutator.case() or [b""], zmq.NOBLOCK)
        _let_go(bare)

    def many_frames(self) -> None:
        """One message of 1,200 frames of a MiB."""
        bare = self._bare(bulk=True)
        frame = bytes(MIB)
        with suppress(zmq.Again):
            for _ in range(1199):
                bare.send(frame, zmq.SNDMORE)
            bare.send(frame)
        _let_go([bare])

    def tiny_frames(self) -> None:
        """One message of 400,000 frames of a byte."""
        bare = self._bare()
        with suppress(zmq.Again):
            for _ in range(399_999):
                bare.send(b"x", zmq.SNDMORE)
            bare.send(b"x")
        _let_go([bare])

    def long_headers(self) -> None:
        """320 specifications of 180 KiB that are refused at their end."""
        bare, spec = self._bare(), oracle_job()[0]
        meshes = tuple(dataclasses.replace(spec.meshes[0], name="m" * 2400) for _ in range(63))
        frames = encode(Envelope(Submit("0" * 32, dataclasses.replace(spec, meshes=meshes)), request_id()))
        for _ in range(320):
            with suppress(zmq.Again):
                bare.send_multipart(frames)
        _let_go([bare])

    def broken_uploads(self) -> None:
        """Forty blobs of 64 MiB of which one piece comes."""
        client = self._client()
        for _ in range(40):
            sha256 = hashlib.sha256(os.urandom(8)).hexdigest()
            with suppress(zmq.Again):
                client.post(BlobPut(sha256, 64 * MIB, 0), os.urandom(MIB), bulk=True)
            time.sleep(0.02)
        client.close()

    def huge_specs(self) -> None:
        """Twenty that name the same 20 MiB in 64 meshes."""
        client = self._client()
        spec, arrays = oracle_job()
        data = os.urandom(MIB) * 20
        for blob in (*(blob_of(array) for array in arrays.values()), data):
            _upload(client, blob)
        ref = ArrayRef(hashlib.sha256(data).hexdigest(), DType.F32, (len(data) // 12, 3))
        meshes = tuple(dataclasses.replace(spec.meshes[0], positions=ref, name=str(n)) for n in range(64))
        for _ in range(20):
            with suppress(zmq.Again):
                client.post(Submit(uuid.uuid4().hex, dataclasses.replace(spec, meshes=meshes)))
        time.sleep(1.0)
        client.close()

    def sessions(self) -> None:
        """A hundred connections that say HELLO and go."""
        for _ in range(5):
            clients = [self._bare() for _ in range(20)]
            for bare in clients:
                with suppress(zmq.Again):
                    bare.send_multipart(encode(Envelope(Hello(((1, 0),), "storm"), request_id())))
            _let_go(clients)

    def strangers(self) -> None:
        """A hundred connections with keys that nobody knows."""
        public, secret = (key.decode() for key in zmq.curve_keypair())
        keys = dataclasses.replace(self._address, client_public=public, client_secret=secret)
        bare = [dealer(self._context, keys.ctl_endpoint, keys) for _ in range(100)]
        time.sleep(1.0)
        _let_go(bare)

    def never_reads(self) -> None:
        """Asks for lists and bytes without end, and reads nothing."""
        client = self._client()
        _upload(client, bytes(8 * MIB))
        sha256 = hashlib.sha256(bytes(8 * MIB)).hexdigest()
        for _ in range(3000):
            with suppress(zmq.Again):
                client.post(ListJobs())
                client.post(Get(sha256, 0, 700_000), bulk=True)
        time.sleep(2.0)
        client.close()

    def endless_jobs(self) -> None:
        """As many jobs of 100,000 steps as are allowed, all watched."""
        client = self._client()
        spec, arrays = oracle_job(steps=100_000, name="maps 16")
        for array in arrays.values():
            _upload(client, blob_of(array))
        for _ in range(100):
            with suppress(zmq.Again):
                client.post(Submit(uuid.uuid4().hex, spec))
        listed = client.ask(ListJobs(), Jobs)
        for info in listed.jobs[:70]:
            with suppress(zmq.Again):
                client.post(Attach(info.job))
        client.close()

    def raw_bytes(self) -> None:
        """Plain TCP, without any protocol, on forty connections."""
        ports, opened = (self._address.ctl_port, self._address.bulk_port), list[socket.socket]()
        for number in range(40):
            with suppress(OSError):
                raw = socket.create_connection((self._address.host, ports[number % 2]), timeout=1.0)
                opened.append(raw)
                raw.sendall(self._random.randbytes(200_000))
        for raw in opened:
            raw.close()


def _upload(client: RawClient, data: bytes) -> None:
    sha256 = hashlib.sha256(data).hexdigest()
    for at in range(0, len(data), MIB):
        client.ask(BlobPut(sha256, len(data), at), BlobOk, data[at : at + MIB], bulk=True, timeout=_PATIENCE)


def _let_go(sockets: list[zmq.Socket]) -> None:
    time.sleep(0.3)
    for each in sockets:
        each.close(linger=200)


def main() -> int:
    """Attack until standard input ends, then tell how often."""
    fields: dict[str, Any] = json.loads(sys.stdin.readline())
    attacks, done = Attacks(ServerAddress(**fields)), Counter[str]()
    times: list[tuple[str, float, float]] = []
    over = False
    while not over:
        for attack in attacks.all():
            begun = time.monotonic()
            try:
                attack()
                done[attack.__name__] += 1
            except (TimeoutError, RuntimeError, zmq.ZMQError):
                # The server lets go of it, or refuses: that is what it should do.
                done[f"{attack.__name__}, refused"] += 1
            times.append((attack.__name__, begun, time.monotonic()))
            if over := bool(select.select([sys.stdin], [], [], PAUSE)[0]):
                break
    attacks.close()
    sys.stdout.write(json.dumps({"attacks": dict(sorted(done.items())), "times": times}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
