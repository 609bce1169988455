# SPDX-License-Identifier: Apache-2.0
"""What clients send, bounded for each of them in bytes, frames and time, before anybody looks into it.

A client that follows PROTOCOL.md never comes near these bounds. Who exceeds one is cut off; who could be told apart
while doing so is not let in again for `BAN_SECONDS`, since each try costs the others some time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

from blender_addon.protocol.codec import peek_id
from blender_addon.protocol.errors import WireError
from server.broker import refusals
from server.broker.core import BrokerCore
from server.broker.ports import Address, Buffer, Channel
from server.broker.sessions.door import Change, Door
from server.broker.sessions.flood_guard import FloodGuard, GuardSettings
from server.broker.sessions.lanes import Lanes
from server.broker.sessions.sockets import Router

__all__ = ["BAN_SECONDS", "Intake", "Way"]

_LOG = logging.getLogger(__name__)
BAN_SECONDS = 30.0
_LAST_WORDS_SECONDS = 0.05
_HELD_BY_ALL = 96 << 20
_LOOK_SECONDS, _CALM_SECONDS = 0.025, 0.1
_LOOKING_SHARE = 20
"""Looking takes at most a twentieth of the time."""
_BUDGET_SECONDS = 0.005


@dataclass(frozen=True)
class Way:
    """A socket that clients send by, and the bounds of what each connection may leave in ZeroMQ's memory."""

    router: Router
    guard: GuardSettings


class _Watched:
    """One such socket at work."""

    def __init__(self, way: Way) -> None:
        self.router = way.router
        self.guard = FloodGuard(way.guard)
        self.emptied = True


class Intake:
    """Args: door: ends connections; changes: what the door tells of them; ban: lets a key not come in for so many
    seconds."""

    def __init__(
        self,
        ways: dict[Channel, Way],
        door: Door,
        changes: SimpleQueue[Change],
        ban: Callable[[str, float], None],
        now: Callable[[], float],
    ) -> None:
        self._door = door
        self._changes = changes
        self._ban = ban
        self._now = now
        self._ways = {channel: _Watched(way) for channel, way in ways.items()}
        self._core: BrokerCore | None = None
        self._lanes = Lanes(self._handle, self._no_room, lambda address: self._exceeded(address, "it heeds no BUSY"))
        self._banned: dict[str, float] = {}
        self._next_look = 0.0
        self._noted = False

    def use(self, core: BrokerCore) -> None:
        """Sets whom messages are for."""
        self._core = core

    @property
    def wait(self) -> float:
        """Seconds until connections are looked at again."""
        return max(0.0, self._next_look - self._now())

    def begin(self) -> None:
        """Begins a turn: notices connections, counts their bytes when it is time, closes those of users that
        are out.
        """
        now = self._now()
        self._hear(now)
        self._noted = now >= self._next_look
        if not self._noted:
            return
        moved = [way.guard.note() for way in self._ways.values()]
        for user in [user for user, since in self._banned.items() if since <= now]:
            self._shut_all_of(user, now)
        pause = _LOOK_SECONDS if any(moved) else _CALM_SECONDS
        self._next_look = now + max(pause, _LOOKING_SHARE * (self._now() - now))

    def _hear(self, now: float) -> None:
        while not self._changes.empty():
            (channel, descriptor), begins = self._changes.get_nowait()
            if begins:
                self._ways[channel].guard.opened(descriptor, now)
            else:
                self._ways[channel].guard.closed(descriptor)

    def _shut_all_of(self, user: str, now: float) -> None:
        for channel, way in self._ways.items():
            for descriptor in way.guard.of_user(user):
                self._door.end((channel, descriptor))
        if now - self._banned[user] > BAN_SECONDS:
            del self._banned[user]

    def receive(self, channel: Channel, limit: int) -> bool:
        """Takes up to `limit` messages, for a few milliseconds; returns whether there may be more."""
        way = self._ways[channel]
        deadline = self._now() + _BUDGET_SECONDS
        for count, message in enumerate(way.router.receive(limit, deadline), start=1):
            address = Address(channel, message.rid, message.user, message.descriptor)
            self._door.heard(address)
            way.guard.took(message.descriptor, message.user, message.wire_size, self._now())
            if message.is_too_long:
                self._exceeded(address, "its message is longer than any")
            elif message.user not in self._banned:
                self._lanes.take(address, message.frames)
            if count == limit or self._now() > deadline:
                break
        way.emptied = way.router.is_empty
        return not way.emptied

    def end(self) -> bool:
        """Ends a turn: large headers, one at a time, then who holds too much; returns whether there is more."""
        deadline = self._now() + _BUDGET_SECONDS
        while self._lanes.turn() and self._now() < deadline:
            pass
        if self._noted:
            self._look()
        return len(self._lanes) > 0

    def _look(self) -> None:
        now = self._now()
        for channel, way in self._ways.items():
            for descriptor in way.guard.offenders(way.emptied, now):
                self._cut(channel, descriptor, now)
        ways = self._ways.items()
        held = [(size, at, channel) for channel, way in ways for at, size in way.guard.holdings(now).items()]
        total = sum(size for size, _at, _channel in held)
        for size, descriptor, channel in sorted(held, key=lambda entry: -entry[0]):
            if total <= _HELD_BY_ALL:
                return
            self._cut(channel, descriptor, now)
            total -= size

    def _cut(self, channel: Channel, descriptor: int, now: float) -> None:
        way = self._ways[channel]
        held, user = way.guard.held(descriptor, now), way.guard.user_of(descriptor)
        _LOG.warning("a connection is cut: %d bytes of it wait in memory", held)
        assert self._core is not None
        self._core.state.metrics.count("connections_cut")
        if not way.emptied and user:  # What waits is whole, and would be more with each connection.
            self._shut_out(user, "it does not wait for answers", now)
        way.guard.closed(descriptor)
        self._door.end((channel, descriptor))

    def _handle(self, address: Address, frames: Sequence[Buffer]) -> None:
        assert self._core is not None
        self._core.received(address, frames)

    def _no_room(self, address: Address, frames: Sequence[Buffer]) -> None:
        text = "Many large messages of yours wait to be looked at; send this one again in a moment."
        self._answer(address, refusals.busy(text), peek_id(frames))

    def _answer(self, address: Address, error: WireError, re: str | None) -> None:
        assert self._core is not None
        self._core.state.metrics.count("messages_refused")
        self._core.state.refuse(address, error, re)

    def _exceeded(self, address: Address, why: str) -> None:
        if address.user not in self._banned:
            self._answer(address, refusals.flood(BAN_SECONDS), None)
            self._shut_out(address.user, why, self._now())

    def _shut_out(self, user: str, why: str, now: float) -> None:
        if user in self._banned:
            return
        assert self._core is not None
        client = self._core.state.clients.get(user)
        name = "a client that has left" if client is None else client.name
        _LOG.warning("%s is cut off for %g s: %s", name, BAN_SECONDS, why)
        self._core.state.metrics.count("clients_cut_off")
        self._banned[user] = now + _LAST_WORDS_SECONDS
        self._lanes.forget(user)
        self._ban(user, BAN_SECONDS)
        self._next_look = min(self._next_look, now + _LAST_WORDS_SECONDS)
