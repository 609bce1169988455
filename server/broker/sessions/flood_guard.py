# SPDX-License-Identifier: Apache-2.0
"""How much of what each connection sent lies in ZeroMQ's memory, and whether that may still be a message of ours.

What lies there is what the system counts as read, less the whole messages that were taken. While whole messages wait
it may be much; once ZeroMQ has nothing whole any more, what is left is the begun one, and that has a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.broker.sessions.tcp_counts import bytes_read

__all__ = ["FloodGuard", "GuardSettings", "wire_size"]

_HANDSHAKE = 4096
_HEARTBEATS = 256
"""Bytes a second: ZeroMQ's own pings and their answers take a quarter of it."""
_SILENCE_SECONDS = 600.0
"""Without a whole message for so long a connection ends, or what it may send for heartbeats would add up."""
_SEALED, _SHORT, _LONG = 33, 2, 9
"""Bytes that CURVE and ZMTP add to a frame."""


def wire_size(frames: Sequence[int]) -> int:
    """Returns the bytes that frames of these sizes take on a CURVE connection."""
    sealed = [size + _SEALED for size in frames]
    return sum(size + (_SHORT if size <= 255 else _LONG) for size in sealed)


@dataclass(frozen=True)
class GuardSettings:
    """Args: unfinished: bytes of a message that is not whole; waiting: bytes in all, where whole ones wait."""

    unfinished: int
    waiting: int


@dataclass
class _Account:
    heard: float
    taken: int = 0
    """Of messages that were handed on, as they were on the wire."""
    noted: int = 0
    user: str = ""


class FloodGuard:
    """The connections of one socket, by descriptor. Args: count: see `bytes_read`."""

    def __init__(self, settings: GuardSettings, count: Callable[[int], int] = bytes_read) -> None:
        self._settings = settings
        self._count = count
        self._accounts: dict[int, _Account] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    def opened(self, descriptor: int, now: float) -> None:
        """Takes note that a connection begins."""
        self._accounts[descriptor] = _Account(now)

    def closed(self, descriptor: int) -> None:
        """Takes note that a connection has ended; its descriptor may soon be another's."""
        self._accounts.pop(descriptor, None)

    def took(self, descriptor: int, user: str, size: int, now: float) -> None:
        """Takes note that a whole message was handed on, of so many bytes on the wire."""
        account = self._accounts.get(descriptor)
        if account is not None:
            account.taken += size + int(_HEARTBEATS * (now - account.heard))
            account.heard, account.user = now, user

    def of_user(self, user: str) -> list[int]:
        """Returns the connections by which this user has sent something."""
        return [descriptor for descriptor, account in self._accounts.items() if account.user == user]

    def user_of(self, descriptor: int) -> str:
        """Says who sent something by this connection; empty where nobody did yet."""
        return self._accounts[descriptor].user

    def note(self) -> bool:
        """Reads the system's counts; returns whether any has moved by more than heartbeats."""
        moved = False
        for descriptor, account in list(self._accounts.items()):
            try:
                noted = self._count(descriptor)
            except OSError:  # It has just ended; the news of it is on the way.
                del self._accounts[descriptor]
                continue
            moved = moved or noted > account.noted + _HANDSHAKE
            account.noted = noted
            account.taken = min(account.taken, noted)  # More was allowed for heartbeats than there were.
        return moved

    def held(self, descriptor: int, now: float) -> int:
        """Returns the bytes of a connection that lay in ZeroMQ's memory at the last `note`, and were not taken
        since.
        """
        account = self._accounts[descriptor]
        return max(0, account.noted - account.taken - _HANDSHAKE - int(_HEARTBEATS * (now - account.heard)))

    def offenders(self, emptied: bool, now: float) -> list[int]:
        """Returns the connections that hold more than a client of ours can. `emptied`: since the last `note` the socket
        had nothing whole to hand on any more.
        """
        most = self._settings.unfinished if emptied else self._settings.waiting
        return [
            descriptor
            for descriptor, account in self._accounts.items()
            if now - account.heard > _SILENCE_SECONDS or self.held(descriptor, now) > most
        ]

    def holdings(self, now: float) -> dict[int, int]:
        """Says what each connection holds."""
        return {descriptor: self.held(descriptor, now) for descriptor in self._accounts}
