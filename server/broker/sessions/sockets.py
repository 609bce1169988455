# SPDX-License-Identifier: Apache-2.0
"""A ROUTER that never blocks and never drops silently: what a connection does not take waits here, up to a limit."""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import zmq

from blender_addon.protocol.codec import Buffer
from server.broker.sessions.auth import KeyPair
from server.broker.sessions.flood_guard import wire_size
from server.errors import ListenError

HANDSHAKE_MS = 10_000
_KEEPALIVE_IDLE, _KEEPALIVE_INTERVAL, _KEEPALIVE_COUNT = 10, 5, 3
"""Seconds of silence before the system asks whether the other machine is still there, seconds between two questions,
and how many go unanswered before the connection counts as gone."""
_FRAME_OVERHEAD = 1024
LINGER_MS = 1000
MAX_FRAMES = 32
"""Of a message. What has more than the protocol allows gets an answer up to here."""


@dataclass(frozen=True)
class RouterSettings:
    """Args: domain: of the ZAP handler; max_frame, max_message: bytes; queue: messages that wait for a connection, and
    of one; max_backlog: bytes that may wait for one connection; is_counted: a guard bounds what waits of one, and
    ZeroMQ does not. A connection that ends while ZeroMQ keeps its messages back can end the whole process: an
    assertion in its `out_event` (libzmq 4.3.5, issue 4841 there)."""

    domain: str
    max_frame: int
    max_message: int
    queue: int
    max_backlog: int
    is_counted: bool = False


@dataclass(frozen=True)
class Received:
    """A message: routing id, the sender's public key, its connection's descriptor, frames.

    Args: wire_size: its bytes on the connection; is_too_long: it had too many frames or bytes, which were dropped.
    """

    rid: bytes
    user: str
    descriptor: int
    frames: list[Buffer]
    wire_size: int
    is_too_long: bool = False


@dataclass
class _Line:
    messages: deque[list[Buffer]] = field(default_factory=lambda: deque[list[Buffer]]())
    size: int = 0


class Router:
    """`gone(rid)` is called for a connection that is no more, or that reads too slowly."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        keys: KeyPair,
        settings: RouterSettings,
        gone: Callable[[bytes], None],
    ) -> None:
        self._settings = settings
        self._gone = gone
        self._lines: dict[bytes, _Line] = {}
        self._in_message = False
        self.is_empty = True
        """Whether nothing whole was there when it was asked last."""
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = LINGER_MS
        self.socket.router_mandatory = 1
        self.socket.curve_server = True
        self.socket.curve_secretkey = keys.secret.encode("ascii")
        self.socket.zap_domain = settings.domain.encode("ascii")
        self.socket.maxmsgsize = settings.max_frame + _FRAME_OVERHEAD
        self.socket.sndhwm = settings.queue
        self.socket.rcvhwm = 0 if settings.is_counted else settings.queue
        self.socket.handshake_ivl = HANDSHAKE_MS
        # Not libzmq's own heartbeats: where a connection breaks while its queue is full, 4.3.5 ends the whole process
        # at the next beat ("Assertion failed: !_io_error"). A flood and a hang-up were enough for that.
        self.socket.tcp_keepalive = 1
        self.socket.tcp_keepalive_idle = _KEEPALIVE_IDLE
        self.socket.tcp_keepalive_intvl = _KEEPALIVE_INTERVAL
        self.socket.tcp_keepalive_cnt = _KEEPALIVE_COUNT

    def bind(self, endpoint: str) -> int:
        """Binds to an endpoint and returns the port. An IPv6 endpoint switches IPv6 on.

        Raises:
            ListenError: the port is taken, or the address is none of this machine's.
        """
        self.socket.ipv6 = "[" in endpoint
        try:
            self.socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise ListenError(_why_not(endpoint, error)) from error
        bound = cast(bytes, self.socket.getsockopt(zmq.LAST_ENDPOINT))
        return int(bound.rstrip(b"\0").rsplit(b":", 1)[1])

    def receive(self, limit: int, deadline: float) -> Iterator[Received]:
        """Yields up to `limit` messages that are there, one at least unless `deadline` passes over the rest of a long
        one.
        """
        for _ in range(limit):
            try:
                if not self._drop_rest(deadline):
                    return
                message = self._next()
            except zmq.Again:
                self.is_empty = True
                return
            self.is_empty = False
            yield message

    def _next(self) -> Received:
        """Frame by frame, since a message may have any number of them.

        Raises:
            zmq.Again: nothing is there.
        """
        rid = last = self.socket.recv(zmq.NOBLOCK, copy=False)
        frames: list[zmq.Frame] = []
        size = 0
        while last.more and len(frames) < MAX_FRAMES and size <= self._settings.max_message:
            last = self.socket.recv(zmq.NOBLOCK, copy=False)
            frames.append(last)
            size += len(last)
        self._in_message = last.more
        too_long = last.more or size > self._settings.max_message
        return Received(
            rid.bytes,
            str(last.get("User-Id")),
            last.get(zmq.SRCFD),
            [] if too_long else [frame.buffer for frame in frames],
            wire_size([len(frame) for frame in frames]),
            too_long,
        )

    def _drop_rest(self, deadline: float) -> bool:
        """Read past the rest of a message that was too long; returns whether that is done."""
        while self._in_message:
            self._in_message = self.socket.recv(zmq.NOBLOCK, copy=False).more
            if time.monotonic() > deadline:
                break
        return not self._in_message

    def send(self, rid: bytes, frames: Sequence[Buffer]) -> None:
        """Sends now, or lets the message wait behind what waits already."""
        line = self._lines.get(rid)
        if line is None:
            outcome = self._try(rid, frames)
            if outcome is not None:
                return
            line = self._lines[rid] = _Line()
        line.messages.append(list(frames))
        line.size += _size(frames)
        if line.size > self._settings.max_backlog:
            del self._lines[rid]
            self._gone(rid)

    def _try(self, rid: bytes, frames: Sequence[Buffer]) -> bool | None:
        """True: sent. False: nobody is there any more. None: not now."""
        try:
            # Large frames are not copied: libzmq holds on to them, and nobody changes what was given to send.
            self.socket.send_multipart([rid, *frames], zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        except zmq.ZMQError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
            self._gone(rid)
            return False
        return True

    def flush(self) -> None:
        """Tries to send what waits: one message for each connection in turn, until none takes more."""
        for rid, line in list(self._lines.items()):
            while line.messages and self._lines.get(rid) is line:
                outcome = self._try(rid, line.messages[0])
                if outcome is None:
                    break
                if not outcome:
                    self._lines.pop(rid, None)
                    break
                line.size -= _size(line.messages.popleft())
            if not line.messages and self._lines.get(rid) is line:
                del self._lines[rid]

    def backlog(self, rid: bytes) -> int:
        """Returns how many bytes wait for a connection."""
        line = self._lines.get(rid)
        return 0 if line is None else line.size

    def waits(self) -> bool:
        """Says whether anything waits to be sent."""
        return bool(self._lines)

    def close(self) -> None:
        """Closes the socket."""
        self.socket.close()


def _why_not(endpoint: str, error: zmq.ZMQError) -> str:
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    match error.errno:
        case errno.EADDRINUSE if port == "*":
            return f"No port is free at {host}; close programs that hold many connections, and start again."
        case errno.EADDRINUSE:
            return f"Port {port} at {host} is taken by another program; choose another --port, or 0 for any free one."
        case errno.EACCES:
            return f"Port {port} at {host} needs more rights than you have; choose a --port of 1024 or more."
        case errno.EADDRNOTAVAIL | errno.ENODEV | errno.EAFNOSUPPORT:
            return f"{host} is no address of this machine; give one of its own as --listen."
        case _:
            return f"Nobody can connect to {host}, port {port} ({error.strerror}); look at --listen and --port."


def _size(frames: Sequence[Buffer]) -> int:
    return sum(frame.nbytes if isinstance(frame, memoryview) else len(frame) for frame in frames)
