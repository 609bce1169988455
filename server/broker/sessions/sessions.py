# SPDX-License-Identifier: Apache-2.0
"""Sessions: one client program that said HELLO on the control channel, and then on the bulk channel.

A session is a connection's identity, never a run: jobs do not end with it. It holds what the client watches, the
previews that wait for it (the newest of each map and tile only) and the credit that it gave for them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from blender_addon.protocol.messages import Preview
from server.broker.ports import Address, Buffer, Channel

SILENCE_LIMIT = 60.0
"""Seconds without a message after which a session is forgotten; clients PING every 2 s."""
MAX_CREDIT = 64 << 20

PreviewKey = tuple[str, str, int]
"""Job, map, tile."""


@dataclass
class Session:
    """What the broker keeps of a connected client."""

    sid: str
    ctl: Address
    last_seen: float
    bulk: Address | None = None
    minor: int = 0
    """Of the protocol that is spoken."""
    credit: int = 0
    watching: set[str] = field(default_factory=lambda: set[str]())
    previews: dict[PreviewKey, tuple[Preview, Buffer]] = field(
        default_factory=lambda: dict[PreviewKey, tuple[Preview, Buffer]]()
    )

    @property
    def user(self) -> str:
        """The key of the session's user."""
        return self.ctl.user


class Sessions:
    """All sessions, found by id or by connection."""

    def __init__(self, per_user: int, total: int) -> None:
        self._per_user = per_user
        self._total = total
        self._by_sid: dict[str, Session] = {}
        self._by_address: dict[Address, Session] = {}

    def __len__(self) -> int:
        return len(self._by_sid)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_sid.values()))

    def open(self, ctl: Address, now: float) -> tuple[Session, list[Session]]:
        """Opens a new session for this control connection; returns it, and the sessions that had to go for it.

        A connection has one session. A user with too many loses the one that was silent longest; so does the
        whole server.
        """
        gone = [self._by_address[ctl]] if ctl in self._by_address else []
        rest = [session for session in self._by_sid.values() if session not in gone]
        own = [session for session in rest if session.user == ctl.user]
        if len(own) >= self._per_user:
            gone.append(min(own, key=lambda session: session.last_seen))
        elif len(rest) >= self._total:
            gone.append(min(rest, key=lambda session: session.last_seen))
        for session in gone:
            self.drop(session)
        session = Session(sid=uuid.uuid4().hex, ctl=ctl, last_seen=now)
        self._by_sid[session.sid] = session
        self._by_address[ctl] = session
        return session, gone

    def bind_bulk(self, sid: str | None, bulk: Address) -> Session | None:
        """Gives a session its bulk connection; returns None when it is unknown or another user's."""
        session = self._by_sid.get(sid or "")
        if session is None or session.user != bulk.user:
            return None
        if session.bulk is not None:
            self._by_address.pop(session.bulk, None)
        session.bulk = bulk
        session.credit = 0  # What was granted was granted to the connection that is gone.
        self._by_address[bulk] = session
        return session

    def find(self, address: Address, sid: str | None) -> Session | None:
        """Returns the session that a message belongs to. After a reconnection, which may have lost messages: None."""
        session = self._by_address.get(address)
        return session if session is not None and session.sid == sid else None

    def by_sid(self, sid: str) -> Session | None:
        """Returns the session of this id; None where there is none."""
        return self._by_sid.get(sid)

    def at(self, address: Address) -> Session | None:
        """Returns the session of a connection; None where it has none."""
        return self._by_address.get(address)

    def unbind(self, session: Session) -> None:
        """Takes note that a session's bulk connection is gone."""
        if session.bulk is not None:
            self._by_address.pop(session.bulk, None)
            session.bulk = None

    def drop(self, session: Session) -> None:
        """Forgets a session."""
        self._by_sid.pop(session.sid, None)
        self._by_address.pop(session.ctl, None)
        self.unbind(session)

    def silent(self, now: float) -> list[Session]:
        """Returns the sessions that said nothing for too long."""
        return [session for session in self._by_sid.values() if now - session.last_seen > SILENCE_LIMIT]

    def rearm(self, now: float) -> None:
        """Counts silence from now on, since the machine slept."""
        for session in self._by_sid.values():
            session.last_seen = now

    def of_channel(self, channel: Channel) -> Iterator[Address]:
        """Returns the addresses of one channel."""
        return (address for address in list(self._by_address) if address.channel is channel)
