# SPDX-License-Identifier: Apache-2.0
"""The states of a connection, what can happen to it, and what its thread is asked to do."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TypeAlias

from .requests import Send
from .timing import BackoffConfig, HeartbeatConfig
from .transfer.uploads import UploadConfig

__all__ = ["Action", "Close", "Link", "Loss", "Open", "SessionConfig", "StartServer"]


@dataclass(frozen=True)
class Open:
    """The instruction to make fresh sockets and connect them."""


@dataclass(frozen=True)
class Close:
    """The instruction to destroy the sockets."""


@dataclass(frozen=True)
class StartServer:
    """The instruction to ask the starter for a server, since nobody is there."""


Action: TypeAlias = Open | Close | StartServer | Send


class Link(enum.Enum):
    """Where the connection stands."""

    WAITING = "waiting"
    OPENING = "opening"
    READY = "ready"


class Loss(enum.Enum):
    """What the sockets saw."""

    NOBODY = "nobody"
    """No connection file, or nobody listens there."""
    UNUSABLE = "unusable"
    """There is a connection file, but it cannot be used."""
    CLOSED = "closed"
    """A connection that stood has ended."""
    AUTH = "auth"
    """The server does not take our key."""
    HANDSHAKE = "handshake"
    """The other side hung up during the handshake: it may have another key than the file says."""


@dataclass(frozen=True)
class SessionConfig:
    """How long a session waits, and how often it tries: seconds and counts.

    Args:
        client: name and version, for the server's log.
        open_limit: until both channels must have said WELCOME.
        refused_wait: until the next try after a refusal, unless the connection file changes before.
        handshake_tries: hang-ups in a row that count as a wrong key.
        start_wait: until a starter is asked again that has brought up no server; one that did may start another at
            once, after `restart_wait`.
    """

    client: str = "pgc-client/1"
    heartbeat: HeartbeatConfig = field(default_factory=HeartbeatConfig)
    backoff: BackoffConfig = field(default_factory=BackoffConfig)
    upload: UploadConfig = field(default_factory=UploadConfig)
    open_limit: float = 5.0
    refused_wait: float = 30.0
    handshake_tries: int = 3
    start_wait: float = 30.0
    restart_wait: float = 2.0
