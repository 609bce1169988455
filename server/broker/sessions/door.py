# SPDX-License-Identifier: Apache-2.0
"""Who stands at the door: connections of clients, counted and ended, so that files are left for everything else.

libzmq takes every TCP connection and gives it ten seconds for its handshake; whoever has no key can so take all the
files that the process may open. Its monitor tells of each connection as it comes and goes, by its descriptor. One that
has not said a word yet is a stranger; of these only so many may stand here, and the oldest goes first.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Collection, Mapping
from queue import SimpleQueue

import zmq
from zmq.utils.monitor import parse_monitor_message

from server.broker.descriptors import Room
from server.broker.ports import Address, Channel

__all__ = ["LAST_WORDS_SECONDS", "Change", "Door"]

_LOG = logging.getLogger(__name__)
LAST_WORDS_SECONDS = 1.0
"""Between an answer and the end of a connection that gets no other."""
_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_ACCEPT_FAILED
_POLL_MS = 100
_SAY_SECONDS = 60.0

Key = tuple[Channel, int]
"""A channel and a descriptor: the next connection may get the same descriptor on the other channel."""
Change = tuple[Key, bool]
"""A connection begins (true) or has ended."""


class Door:
    """Args: sockets: those that clients connect to; they are bound after this, and closed after `close`.
    changes: is told of each connection that comes or goes.

    A thread of its own reads the monitors: a storm of connections does not touch the broker's loop. The other
    calls are the loop's.
    """

    def __init__(
        self, sockets: Mapping[Channel, zmq.Socket[bytes]], room: Room, changes: SimpleQueue[Change] | None = None
    ) -> None:
        self._sockets = sockets
        self._room = room
        self._changes = changes
        self._lock = threading.Lock()
        self._strangers: dict[Key, None] = {}
        self._known: dict[Key, None] = {}
        self._to_cut: dict[Address, float] = {}
        self._were_cut: deque[Address] = deque(maxlen=256)
        self._next_word = 0.0
        self.turned_away = 0
        self._monitors = {channel: of.get_monitor_socket(_EVENTS) for channel, of in sockets.items()}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="door")
        self._thread.start()

    def __len__(self) -> int:
        return len(self._strangers) + len(self._known)

    def heard(self, address: Address) -> None:
        """Takes note that a message came from this connection, so that its key was found good."""
        key = (address.channel, address.descriptor)
        if key in self._strangers:
            with self._lock:
                if key in self._strangers:
                    del self._strangers[key]
                    self._known[key] = None

    def cut(self, address: Address) -> None:
        """Ends a connection in a second, so that what was sent before goes out."""
        # Once only: what it sent before may still be read when its descriptor is another connection's already.
        if address not in self._were_cut:
            self._to_cut.setdefault(address, time.monotonic() + LAST_WORDS_SECONDS)

    def tick(self, now: float) -> None:
        """Ends connections that are due."""
        for address in [address for address, due in self._to_cut.items() if due <= now]:
            del self._to_cut[address]
            self._were_cut.append(address)
            self.end((address.channel, address.descriptor))

    def is_crowded(self) -> bool:
        """Says whether `make_room` has something to do. There is always room left for strangers."""
        return len(self._known) > self._room.connections - self._room.strangers

    def make_room(self, in_use: Collection[Address]) -> None:
        """Ends the oldest of those connections that were heard and belong to no session."""
        kept = {(address.channel, address.descriptor) for address in in_use}
        excess = len(self._known) - (self._room.connections - self._room.strangers)
        with self._lock:
            idle = [key for key in self._known if key not in kept][:excess]
        for key in idle:
            self._turn_away(key)

    def close(self) -> None:
        """Ends the thread, before the sockets are closed."""
        # While the thread still reads: an event that nobody takes would block libzmq, which holds the monitor's lock.
        for of in self._sockets.values():
            of.disable_monitor()
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        poller = zmq.Poller()
        for monitor in self._monitors.values():
            poller.register(monitor, zmq.POLLIN)
        while not self._ended.is_set():
            ready = dict(poller.poll(_POLL_MS))
            for channel, monitor in self._monitors.items():
                if monitor in ready:
                    event = parse_monitor_message(monitor.recv_multipart())
                    self._happened(channel, event["event"], event["value"])
        for monitor in self._monitors.values():
            monitor.close(linger=0)

    def _happened(self, channel: Channel, event: int, value: int) -> None:
        if event == zmq.EVENT_ACCEPT_FAILED:
            self._say(f"a connection could not be accepted: {os.strerror(value)}")
            return
        key = (channel, value)
        if self._changes is not None:
            self._changes.put((key, event == zmq.EVENT_ACCEPTED))
        with self._lock:
            self._strangers.pop(key, None)
            self._known.pop(key, None)
            if event == zmq.EVENT_ACCEPTED:
                self._strangers[key] = None
            too_many = list(self._strangers)[: max(0, len(self._strangers) - self._room.strangers)]
        for stranger in too_many:
            self._turn_away(stranger)

    def _turn_away(self, key: Key) -> None:
        with self._lock:
            self._strangers.pop(key, None)
            self._known.pop(key, None)
        self.turned_away += 1
        self._say("too many connections without a key, or of no session: the oldest are ended")
        self.end(key)

    def _say(self, text: str) -> None:
        now = time.monotonic()
        if now >= self._next_word:
            self._next_word = now + _SAY_SECONDS
            _LOG.warning("%s", text)

    def end(self, key: Key) -> None:
        """Ends a connection at once. libzmq has no call for that, but takes the end of its stream as such.

        Should the descriptor be another connection's by now, that one comes back by itself.
        """
        descriptor = key[1]
        if descriptor < 0:
            return
        connection: socket.socket | None = None
        try:
            connection = socket.socket(fileno=descriptor)
            connection.shutdown(socket.SHUT_RDWR)
        except OSError as error:  # It has ended already, and the descriptor is nobody's, or a file's.
            _LOG.debug("a connection was closed before it was cut: %s", error)
        finally:
            if connection is not None:
                connection.detach()
