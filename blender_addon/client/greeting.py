# SPDX-License-Identifier: Apache-2.0
"""HELLO and WELCOME on both channels, one connection's worth. Pure."""

from __future__ import annotations

from ..protocol.codec import Envelope, request_id
from ..protocol.errors import WireError
from ..protocol.messages import Error, Hello, Reject, Welcome
from ..protocol.version import PROTOCOL_MAJOR, PROTOCOL_MINOR
from .requests import Channel, Send

__all__ = ["Greeting"]


class Greeting:
    """First the control channel, which gives a new session; then bulk, which is bound to it.

    Args:
        client: name and version, for the server's log.
    """

    def __init__(self, client: str) -> None:
        self._client = client
        self._waiting: dict[str, Channel] = {}
        self._welcome: Welcome | None = None

    def begin(self) -> Send:
        """Returns the HELLO on the control channel."""
        return self._hello(Channel.CTL)

    def awaits(self, envelope: Envelope) -> bool:
        """Says whether this is the answer to a HELLO."""
        return envelope.re in self._waiting and isinstance(envelope.message, Welcome | Reject | Error)

    def answered(self, envelope: Envelope) -> Send | Welcome | WireError:
        """Returns the next HELLO; the control channel's WELCOME, once both channels stand; or why they will not."""
        channel = self._waiting.pop(envelope.re or "")
        message = envelope.message
        if isinstance(message, Reject | Error):
            return message.error
        if channel is Channel.CTL and isinstance(message, Welcome):
            self._welcome = message
            return self._hello(Channel.BULK)
        assert self._welcome is not None
        return self._welcome

    def _hello(self, channel: Channel) -> Send:
        protocols = ((PROTOCOL_MAJOR, PROTOCOL_MINOR),)
        session = None if self._welcome is None else self._welcome.session
        hello = Hello(protocols=protocols, client=self._client, session=session)
        envelope = Envelope(message=hello, id=request_id(), session=session)
        self._waiting[envelope.id] = channel
        return Send(channel, envelope)
