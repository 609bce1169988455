# SPDX-License-Identifier: Apache-2.0
"""A hostile client in a process of its own: it has a key, and sends what no client of ours would.

    echo ADDRESS-AS-JSON | python -m tests.benchmarks.flooder one-message-of-mebibytes 6

Each attack goes on for so many seconds, and comes back whenever the server cuts it off.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable

import msgpack
import zmq

from blender_addon.client import ServerAddress
from blender_addon.protocol.codec import Envelope, encode, request_id
from blender_addon.protocol.messages import Hello, Ping, Submit
from tests.benchmarks.raw_client import dealer
from tests.e2e.server_rig import oracle_job

SECONDS = 6.0
_MAGIC = b"TXP1"
_KIB, _MIB = 1 << 10, 1 << 20


class Flooder:
    """Args: address: with the keys to come in by; seconds: how long an attack goes on."""

    def __init__(self, address: ServerAddress, seconds: float = SECONDS) -> None:
        self._address = address
        self._context = zmq.Context()
        self._until = time.monotonic() + seconds

    def _socket(self, bulk: bool) -> zmq.Socket:
        endpoint = self._address.bulk_endpoint if bulk else self._address.ctl_endpoint
        socket = dealer(self._context, endpoint, self._address, queue=0)
        socket.sndtimeo = 200
        socket.reconnect_ivl = 20
        return socket

    def _goes_on(self) -> bool:
        return time.monotonic() < self._until

    def _one_message(self, count: int, size: int, bulk: bool) -> None:
        frame = bytes(size)
        while self._goes_on():
            socket = self._socket(bulk)
            for number in range(count):
                try:
                    socket.send(frame, zmq.SNDMORE if number < count - 1 else 0, copy=size < _KIB)
                except zmq.Again:
                    break
            end = min(self._until, time.monotonic() + 2.0)
            while time.monotonic() < end:
                time.sleep(0.05)
            socket.close()

    def one_message_of_mebibytes(self) -> None:
        """1,200 frames of 1 MiB in one message."""
        self._one_message(1200, _MIB, bulk=True)

    def one_message_of_bytes(self) -> None:
        """400,000 frames of one byte in one message, on the control channel."""
        self._one_message(400_000, 1, bulk=False)

    def one_message_of_bytes_on_bulk(self) -> None:
        """The same on the bulk channel."""
        self._one_message(400_000, 1, bulk=True)

    def whole_messages_of_bytes(self) -> None:
        """Message after message of 5,000 empty frames: each is whole before anybody looks."""
        socket = self._socket(bulk=False)
        while self._goes_on():
            try:
                socket.send_multipart([_MAGIC, *[b""] * 5000])
            except zmq.Again:
                time.sleep(0.01)
            time.sleep(0.02)

    def forty_connections(self) -> None:
        """A message of 9 MiB on each of forty connections at once, again and again."""
        frame = bytes(_MIB - 64)
        while self._goes_on():
            sockets = [self._socket(bulk=True) for _ in range(40)]
            for socket in sockets:
                socket.send_multipart([_MAGIC, *[frame] * 9], copy=False)
            time.sleep(1.0)
            for socket in sockets:
                socket.close()

    def forty_windows(self) -> None:
        """Forty connections, each with twenty whole messages of a MiB on the way: 800 MiB, were there no bound."""
        sockets = [self._socket(bulk=True) for _ in range(40)]
        frames = [*encode(Envelope(Ping(1), request_id())), bytes(_MIB)]
        while self._goes_on():
            for socket in sockets:
                for _ in range(20):
                    try:
                        socket.send_multipart(frames, zmq.NOBLOCK, copy=False)
                    except zmq.Again:
                        break
            time.sleep(1.0)

    def full_messages(self) -> None:
        """Whole messages of 9 MiB, one after the other, on four connections."""
        sockets = [self._socket(bulk=True) for _ in range(4)]
        frames = [_MAGIC, bytes(100 * _KIB), *[bytes(_MIB)] * 8]
        while self._goes_on():
            for socket in sockets:
                try:
                    socket.send_multipart(frames, zmq.NOBLOCK, copy=False)
                except zmq.Again:
                    time.sleep(0.01)
            time.sleep(0.02)

    def _headers(self, header: Callable[[], bytes], count: int = 320) -> None:
        socket = self._socket(bulk=False)
        socket.send_multipart(encode(Envelope(Hello(((1, 0),), "flooder"), request_id())))
        while self._goes_on():
            for _ in range(count):
                try:
                    socket.send_multipart([_MAGIC, header()], zmq.NOBLOCK)
                except zmq.Again:
                    break
            time.sleep(1.0)

    def bad_headers(self) -> None:
        """320 headers of 180 KiB, full of small things, that are no message."""
        body = {"x": [[None] * 4000 for _ in range(44)]}
        header = {"v": [1, 0], "t": "SUBMIT", "id": "0" * 32, "body": body, "bufs": []}
        packed = msgpack.packb(header)
        self._headers(lambda: packed)

    def pings_of_180_kib(self) -> None:
        """PINGs with unknown fields, which are passed over: whole messages."""
        body = {"n": 1, "x": [[None] * 4000 for _ in range(44)]}
        packed = msgpack.packb({"v": [1, 0], "t": "PING", "id": "0" * 32, "body": body, "bufs": []})
        self._headers(lambda: packed)

    def big_submits(self) -> None:
        """Specifications of 64 meshes and 170 KiB."""
        spec, _arrays = oracle_job()
        mesh = spec.meshes[0]
        spec = type(spec)(meshes=(mesh,) * 64, prompt=spec.prompt, guidance=spec.guidance)
        packed = encode(Envelope(Submit(uuid.uuid4().hex, spec), request_id()))[1]
        fields = msgpack.unpackb(packed)
        for at, entry in enumerate(fields["body"]["spec"]["meshes"]):
            entry["name"] = f"{at:02d}" * 950
        self._headers(lambda: msgpack.packb(fields))

    def pings(self) -> None:
        """PINGs as fast as they go, on eight connections, whose answers nobody reads."""
        sockets = [self._socket(bulk=False) for _ in range(8)]
        frames = encode(Envelope(Ping(1), request_id()))
        while self._goes_on():
            for socket in sockets:
                try:
                    socket.send_multipart(frames, zmq.NOBLOCK)
                except zmq.Again:
                    time.sleep(0.001)

    def close(self) -> None:
        """Drop what has not left yet."""
        self._context.destroy(linger=0)


ATTACKS: tuple[Callable[[Flooder], None], ...] = (
    Flooder.one_message_of_mebibytes,
    Flooder.one_message_of_bytes,
    Flooder.one_message_of_bytes_on_bulk,
    Flooder.whole_messages_of_bytes,
    Flooder.forty_connections,
    Flooder.forty_windows,
    Flooder.full_messages,
    Flooder.bad_headers,
    Flooder.pings_of_180_kib,
    Flooder.big_submits,
    Flooder.pings,
)


def name_of(attack: Callable[[Flooder], None]) -> str:
    """As on the command line."""
    return attack.__name__.replace("_", "-")


def main() -> int:
    """Do one attack."""
    attack = next(attack for attack in ATTACKS if name_of(attack) == sys.argv[1])
    flooder = Flooder(ServerAddress(**json.loads(sys.stdin.readline())), float(sys.argv[2]))
    attack(flooder)
    flooder.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
