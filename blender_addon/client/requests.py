# SPDX-License-Identifier: Apache-2.0
"""What was asked and not answered yet. Pure.

libzmq loses queued messages when the other side dies, so that only an answer counts. After a reconnection every
unanswered request goes out again under its old id; the server knows the id, or the request does no harm twice.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ..protocol.codec import Buffer, Envelope, request_id
from ..protocol.messages import Message
from .events import Event

__all__ = ["Answer", "Channel", "OnAnswer", "Port", "Send"]

Buffers: TypeAlias = Sequence[Buffer]


class Channel(enum.Enum):
    """The two sockets: short messages, and bulk data that would hold them up."""

    CTL = "ctl"
    BULK = "bulk"


@dataclass(frozen=True)
class Send:
    """An envelope to put on the wire."""

    channel: Channel
    envelope: Envelope


@dataclass(frozen=True)
class Answer:
    """What came back to a request."""

    message: Message
    buffers: Buffers
    now: float


OnAnswer: TypeAlias = Callable[[Answer], None]


@dataclass(frozen=True)
class _Pending:
    channel: Channel
    envelope: Envelope
    on_answer: OnAnswer
    sent_at: float
    again: bool


class Port:
    """Through which the parts of the client speak: requests with answers, messages without, events to the owner.

    Args:
        emit: takes the events.
        resend_after: seconds after which an unanswered request goes out again on a living connection.
    """

    def __init__(self, emit: Callable[[Event], None], resend_after: float = 60.0) -> None:
        self.emit = emit
        self.now = 0.0
        """The time of what is being handled; set by the session before it hands anything to a part."""
        self._resend_after = resend_after
        self._pending: dict[str, _Pending] = {}
        self._outgoing: deque[Send] = deque()
        self._open: set[Channel] = set()
        self._session: str | None = None
        self._epoch: str | None = None

    def ask(
        self, channel: Channel, message: Message, on_answer: OnAnswer, *, buffers: Buffers = (), again: bool = True
    ) -> str:
        """Sends a request and keeps it until its answer comes; returns its id.

        Args:
            again: send it again after a reconnection; False: forget it then (its owner starts over).
        """
        envelope = Envelope(message=message, id=request_id(), buffers=tuple(buffers))
        self._pending[envelope.id] = _Pending(channel, envelope, on_answer, self.now, again)
        self._send(channel, envelope)
        return envelope.id

    def tell(self, channel: Channel, message: Message) -> None:
        """Sends a message that has no answer, if the channel is open; else it is worthless."""
        self._send(channel, Envelope(message=message, id=request_id()))

    def answered(self, envelope: Envelope) -> bool:
        """Hands an answer to whoever asked; returns False where nobody did, as for the second answer to a repeated
        request.
        """
        pending = self._pending.pop(envelope.re or "", None)
        if pending is None:
            return False
        pending.on_answer(Answer(envelope.message, envelope.buffers, self.now))
        return True

    def forget(self, request: str) -> None:
        """Drops a request, since its answer is not wanted any more."""
        self._pending.pop(request, None)

    def opened(self, channel: Channel, session: str, epoch: str | None) -> None:
        """Takes note that the channel has a session, and sends what waited for it."""
        self._session, self._epoch = session, epoch
        self._open.add(channel)
        for key, pending in list(self._pending.items()):
            if pending.channel is channel:
                self._pending[key] = replace(pending, sent_at=self.now)
                self._send(channel, pending.envelope)

    def closed(self) -> None:
        """Takes note that both channels are gone, and with them everything that was under way."""
        self._open.clear()
        self._outgoing.clear()
        self._pending = {key: pending for key, pending in self._pending.items() if pending.again}

    def resend_overdue(self) -> None:
        """Sends again what has waited for an answer for very long."""
        for key, pending in list(self._pending.items()):
            if pending.channel in self._open and self.now - pending.sent_at >= self._resend_after:
                self._pending[key] = replace(pending, sent_at=self.now)
                self._send(pending.channel, pending.envelope)

    def take(self) -> list[Send]:
        """Returns everything that is to go on the wire, oldest first, and empties the list."""
        taken = list(self._outgoing)
        self._outgoing.clear()
        return taken

    @property
    def unanswered(self) -> int:
        """Number of requests without an answer."""
        return len(self._pending)

    def _send(self, channel: Channel, envelope: Envelope) -> None:
        if channel in self._open:
            self._outgoing.append(Send(channel, replace(envelope, session=self._session, epoch=self._epoch)))
