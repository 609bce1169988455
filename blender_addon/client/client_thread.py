# SPDX-License-Identifier: Apache-2.0
"""The one thread of the client: sockets, clocks and files around the pure `Session`."""

from __future__ import annotations

import contextlib
import math
import queue
import random
import socket
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import zmq

from ..protocol.codec import Buffer, decode, encode
from ..protocol.errors import ProtocolError
from ..protocol.limits import DEFAULT_LIMITS
from .access.address import ServerAddress
from .access.starter import Starter
from .errors import ConnectionFileError, NoConnectionFileError
from .event_queue import EventQueue
from .events import ClientFailed, Event, ServerStartFailed
from .link import Action, Close, Link, Loss, Open, SessionConfig, StartServer
from .requests import Channel, Send
from .session import Session
from .sockets import Sockets
from .timing import ClockWatch, Now

__all__ = ["ClientThread", "Command"]

Command: TypeAlias = Callable[[Session], None]

_LONGEST_POLL = 1.0
_FILE_POLL = 0.1
"""Seconds between two looks at the connection file while there is no connection."""
_MESSAGES_A_TURN = 64
_BULK_SECONDS = 0.005
"""For bulk data in a turn; what is left comes in the next one, after a look at what the owner and the server want."""


class ClientThread(threading.Thread):
    """Runs until `stop`, or until the program's main thread has ended: a forgotten client keeps no program alive."""

    def __init__(
        self,
        source: ServerAddress | Path,
        events: EventQueue,
        config: SessionConfig,
        starter: Starter | None,
        prepare: Callable[[Event], Event] | None = None,
    ) -> None:
        super().__init__(name="pgc-client")
        self._source = source
        self._events = events
        self._starter = starter
        self._prepare = prepare
        self._session = Session(config, self._emit, random.random, may_start=starter is not None)
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._sockets: Sockets | None = None
        self._seen: tuple[int, int, int] | None = None

    # From any thread.

    def post(self, command: Command) -> None:
        """Makes the thread do something with the session."""
        self._commands.put(command)
        self._wake()

    def stop(self) -> None:
        """Asks the thread to end; it does so within a fraction of a second."""
        self._stopping.set()
        self._wake()

    def _wake(self) -> None:
        # A full buffer: it will wake anyway. A closed one: it has ended.
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_writer.send(b"\0")

    # In the thread.

    def _emit(self, event: Event) -> None:
        self._events.put(event if self._prepare is None else self._prepare(event))

    def run(self) -> None:
        """Runs the client until `stop`. A defect in it becomes an event."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._loop(context)
        except Exception:  # noqa: BLE001 - an exception in a thread of Blender would be lost
            self._events.put(ClientFailed(traceback.format_exc(limit=8)))
        finally:
            self._close_sockets()
            context.destroy(linger=0)
            if self._starter is not None:
                self._starter.close()
            self._wake_reader.close()
            self._wake_writer.close()

    def _loop(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        now = _read_clocks()
        watch = ClockWatch(now)
        main = threading.main_thread()
        while not self._stopping.is_set() and main.is_alive():
            self._run_commands(now)
            self._session.tick(now)
            self._act(context)
            timeout = self._timeout(now)
            self._poll(timeout)
            now = _read_clocks()
            if watch.gap(now, timeout):
                self._session.gap(now)
            self._receive(now)
            self._look_around(now)
        self._session.goodbye()
        self._act(context)

    def _run_commands(self, now: Now) -> None:
        self._session.port.now = now.mono
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return
            command(self._session)

    def _timeout(self, now: Now) -> float:
        longest = _FILE_POLL if self._session.link is Link.WAITING else _LONGEST_POLL
        return min(longest, max(0.0, self._session.deadline - now.mono))

    def _poll(self, timeout: float) -> None:
        poller = zmq.Poller()
        poller.register(self._wake_reader, zmq.POLLIN)
        if self._sockets is not None:
            self._sockets.register(poller)
        # Rounded up: a poll that ends a hair too early would spin.
        poller.poll(int(timeout * 1000) + 1)
        with contextlib.suppress(BlockingIOError):
            self._wake_reader.recv(4096)

    def _receive(self, now: Now) -> None:
        sockets = self._sockets
        if sockets is None:
            return
        until = {Channel.CTL: math.inf, Channel.BULK: time.monotonic() + _BULK_SECONDS}
        for channel in Channel:
            for _ in range(_MESSAGES_A_TURN):
                frames = sockets.receive(channel)
                if frames is None:
                    break
                self._hand_over(channel, frames, now)
                if self._session.link is Link.WAITING:
                    return
                if time.monotonic() >= until[channel]:
                    break
        for loss in sockets.losses():
            self._session.lost(loss, now)
        sockets.flush()

    def _hand_over(self, channel: Channel, frames: list[Buffer], now: Now) -> None:
        try:
            envelope = decode(frames, DEFAULT_LIMITS)
        except ProtocolError as error:
            self._session.damaged(error, now)
            return
        self._session.received(channel, envelope, now)

    def _look_around(self, now: Now) -> None:
        """Looks, without a connection, whether a server has been started, or a start of ours has failed."""
        if self._session.link is not Link.WAITING:
            return
        if isinstance(self._source, Path) and self._seen is not None and _stamp(self._source) != self._seen:
            self._seen = _stamp(self._source)
            self._session.address_changed(now)
        failure = None if self._starter is None else self._starter.failure()
        if failure is not None:
            self._events.put(ServerStartFailed(failure))

    # What the session asks for.

    def _act(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        while actions := self._session.take():
            for action in actions:
                self._do(action, context)

    def _do(self, action: Action, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        match action:
            case Open():
                self._open_sockets(context)
            case Close():
                self._close_sockets()
            case StartServer():
                self._start_server()
            case _:
                self._send(action)

    def _send(self, action: Send) -> None:
        if self._sockets is None:
            return
        try:
            frames = encode(action.envelope, DEFAULT_LIMITS)
        except ProtocolError as error:
            self._session.unsendable(action.envelope, error, _read_clocks())
            return
        self._sockets.send(action.channel, frames)

    def _open_sockets(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._close_sockets()
        try:
            address = self._address()
            self._sockets = Sockets(context, address)
        except NoConnectionFileError as error:
            self._session.lost(Loss.NOBODY, _read_clocks(), str(error))
        except (ConnectionFileError, zmq.ZMQError, ValueError) as error:
            self._session.lost(Loss.UNUSABLE, _read_clocks(), str(error))

    def _address(self) -> ServerAddress:
        if isinstance(self._source, ServerAddress):
            return self._source
        # The stamp first: a change after it is then seen.
        self._seen = _stamp(self._source)
        return ServerAddress.from_connection_file(self._source)

    def _close_sockets(self) -> None:
        if self._sockets is not None:
            self._sockets.close()
            self._sockets = None

    def _start_server(self) -> None:
        if self._starter is None:
            return
        try:
            self._starter.start()
        except OSError as error:
            self._events.put(ServerStartFailed(f"The server cannot be started ({error})."))


def _read_clocks() -> Now:
    return Now(mono=time.monotonic(), wall=time.time())


def _stamp(path: Path) -> tuple[int, int, int]:
    """What changes when a file is replaced; zeros where there is none."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_ino, status.st_size)
