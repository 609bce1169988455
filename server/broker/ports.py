# SPDX-License-Identifier: Apache-2.0
"""What the broker's logic asks of the world around it. The loop provides it; tests provide their own.

The logic itself opens no socket, file or process and reads no clock: it reacts to calls, and calls these.
Each `done` is called later, in the loop's thread, never from within the call itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeAlias

from blender_addon.protocol.codec import Buffer, Envelope
from server.children.executor import ChildProcess
from server.children.messages import ToChild
from server.children.settings import ChildSettings
from server.storage.journal import Journal

Done: TypeAlias = Callable[[Any, Exception | None], None]
"""Gets the result, or None and what went wrong."""


__all__ = ["Address", "Buffer", "Channel", "Done", "Ports"]


class Channel(Enum):
    """The two sockets for clients."""

    CTL = "ctl"
    BULK = "bulk"


@dataclass(frozen=True)
class Address:
    """One connection: the routing id that our ROUTER gave it, and the key that it proved to own.

    Routing ids do not come again, so that a connection is found by them alone. `descriptor`: of its TCP socket, which
    is ZeroMQ's, and may be another connection's once this one has ended.
    """

    channel: Channel
    rid: bytes
    user: str = field(default="", compare=False)
    descriptor: int = field(default=-1, compare=False)


class Ports(Protocol):
    """What the broker's logic does to the world; see the module's docstring."""

    def now(self) -> float:
        """Returns monotonic seconds."""
        ...

    def wall(self) -> float:
        """Returns seconds since 1970."""
        ...

    def send(self, address: Address, envelope: Envelope) -> None:
        """Sends, or keeps until the connection takes more; `BrokerCore.unreachable` tells when it never will."""
        ...

    def backlog(self, address: Address) -> int:
        """Returns the bytes that wait for this connection because its other end reads slowly."""
        ...

    def cut(self, address: Address) -> None:
        """Ends this connection, soon: what was sent before still goes out."""
        ...

    def journal(self, operation: Callable[[Journal], Any], done: Done, *, essential: bool = False) -> None:
        """Commits an operation on the journal; in order. An essential one is tried until the disk takes it."""
        ...

    def disk(self, work: Callable[[], Any], done: Done, *, bulk: bool = False) -> None:
        """Runs something that takes time in a pool of threads; `bulk` work has its own, so as not to delay the rest."""
        ...

    def spawn(self, settings: ChildSettings, done: Callable[[ChildProcess | None, Exception | None], None]) -> None:
        """Starts a child process and hands it its settings."""
        ...

    def allow_children(self, keys: Sequence[str]) -> None:
        """Sets the public keys with which child processes may connect."""
        ...

    def to_child(self, rid: bytes, message: ToChild) -> None:
        """Sends to a connected child; nothing happens when it is gone, which `ChildProcess.poll` tells."""
        ...

    def child_endpoint(self) -> tuple[str, str]:
        """Says where children connect, and that socket's public key."""
        ...
