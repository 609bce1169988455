# SPDX-License-Identifier: Apache-2.0
"""What gates and workers share: their settings, and the connection to the broker in a thread of its own.

    link = Link(read_settings(sys.stdin.buffer))
    link.start(Ready(...))
    while (message := link.receive(timeout=0.5)) is not None: ...

All sockets belong to the link's thread. The end of standard input means that the broker is gone.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

import zmq

from server.children.messages import (
    Beat,
    CancelRun,
    FreeGpu,
    FromChild,
    Run,
    Stop,
    ToChild,
    Validate,
    YieldRun,
    pack,
    unpack,
)
from server.children.settings import ChildSettings
from server.errors import ConfigError, InternalMessageError

__all__ = ["BrokerGone", "Link", "read_settings"]

_LOG = logging.getLogger(__name__)
_BEAT_SECONDS = 1.0
_IDLE_POLL_MS = 20
_BUSY_POLL_MS = 2
_MAX_WAITING = 256
"""Messages that wait for a broker that does not read; beyond it, those that may be lost are dropped."""
_CLOSE_SECONDS = 5.0
_QUEUE = 64
_HANG_SECONDS = 120.0


class BrokerGone:
    """What `Link.receive` gives once after the broker's end."""


Incoming = ToChild | BrokerGone


def read_settings(stream: IO[bytes]) -> ChildSettings:
    """Reads the settings that the broker wrote to our standard input.

    Raises:
        ConfigError: the line is no settings; a child is not to be started by hand.
    """
    line = stream.readline()
    try:
        return ChildSettings(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise ConfigError(
            "This process belongs to pgc-server, which writes its settings to standard input; run: pgc-server start"
        ) from error


@dataclass
class Link:
    """The child's end of the connection to the broker.

    Args:
        settings: where to connect, and with which keys.
        stdin: is read to its end by a thread; None: the caller watches over the broker's life itself.
        watchdog: end the process when this thread has not run for two minutes, because other code keeps Python's
            lock. Nobody else would end it where the broker is gone too.
    """

    settings: ChildSettings
    stdin: IO[bytes] | None = None
    watchdog: bool = False
    step_counter: int = 0
    """Grows while the child gets on; goes out with each beat."""
    _inbox: queue.Queue[Incoming] = field(default_factory=lambda: queue.Queue[Incoming]())
    _outbox: deque[list[bytes]] = field(default_factory=lambda: deque[list[bytes]]())
    _closing: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _watchers: list[Callable[[Incoming], None]] = field(default_factory=lambda: list[Callable[[Incoming], None]]())

    def watch(self, watcher: Callable[[Incoming], None]) -> None:
        """Lets `watcher(message)` see each message as it comes, in the link's thread: cancel, stop, broker gone."""
        self._watchers.append(watcher)

    def start(self, ready: FromChild) -> None:
        """Connects, and says that we are there."""
        self.send(ready)
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        self._thread.start()
        if self.stdin is not None:
            threading.Thread(target=self._watch_stdin, name="stdin", daemon=True).start()

    def receive(self, timeout: float) -> Incoming | None:
        """Returns the next message; None after `timeout` seconds without one."""
        with contextlib.suppress(queue.Empty):
            return self._inbox.get(timeout=timeout)
        return None

    def send(self, message: FromChild, payload: bytes | None = None, *, may_be_lost: bool = False) -> None:
        """Sends a message, soon. `may_be_lost`: it is dropped rather than kept among many that wait (progress,
        previews).
        """
        if may_be_lost and len(self._outbox) >= _MAX_WAITING:
            return
        self._outbox.append([pack(message)] if payload is None else [pack(message), payload])

    def close(self) -> None:
        """Sends what waits, for a few seconds at most, and ends the thread."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        context = zmq.Context()
        socket = _connect(context, self.settings)
        next_beat = time.monotonic()
        deadline = float("inf")
        try:
            while True:
                now = time.monotonic()
                if self._closing.is_set() and deadline == float("inf"):
                    deadline = now + _CLOSE_SECONDS
                if now >= deadline or (self._closing.is_set() and not self._outbox):
                    break
                if now >= next_beat:
                    self.send(Beat(self.step_counter), may_be_lost=True)
                    next_beat = now + _BEAT_SECONDS
                    if self.watchdog:
                        faulthandler.dump_traceback_later(_HANG_SECONDS, exit=True)
                self._send_waiting(socket)
                self._take(socket)
        finally:
            if self.watchdog:
                faulthandler.cancel_dump_traceback_later()
            socket.close(linger=1000)
            context.term()

    def _send_waiting(self, socket: zmq.Socket[bytes]) -> None:
        while self._outbox:
            try:
                socket.send_multipart(self._outbox[0], zmq.DONTWAIT)
            except zmq.Again:
                return
            self._outbox.popleft()

    def _take(self, socket: zmq.Socket[bytes]) -> None:
        if not socket.poll(_BUSY_POLL_MS if self._outbox else _IDLE_POLL_MS):
            return
        try:
            message = unpack(socket.recv())
        except InternalMessageError:
            _LOG.exception("a message of the broker cannot be read")
            return
        if isinstance(message, Validate | Run | CancelRun | YieldRun | FreeGpu | Stop):
            self._deliver(message)
        else:
            _LOG.error("a message that is none for a child: %s", message.TYPE)

    def _deliver(self, message: Incoming) -> None:
        for watcher in self._watchers:
            watcher(message)
        self._inbox.put(message)

    def _watch_stdin(self) -> None:
        assert self.stdin is not None
        # Not `stdin.read`: a thread that waits there holds a lock that the interpreter wants at its end, and aborts.
        while os.read(self.stdin.fileno(), 4096):
            pass
        _LOG.warning("the broker is gone")
        self._deliver(BrokerGone())


def _connect(context: zmq.Context[zmq.Socket[bytes]], settings: ChildSettings) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.DEALER)
    socket.curve_serverkey = settings.server_public.encode("ascii")
    socket.curve_publickey = settings.own_public.encode("ascii")
    socket.curve_secretkey = settings.own_secret.encode("ascii")
    socket.sndhwm = _QUEUE
    socket.rcvhwm = _QUEUE
    socket.connect(settings.endpoint)
    return socket
