# SPDX-License-Identifier: Apache-2.0
"""Messages that take milliseconds wait in a line for each user, and users take turns: those whose headers are large to
decode, and those that are answered by a list of jobs. So a storm of new sessions waits for its own turn, and no known
session waits for it. All else goes at once, but never past what waits of the same connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from blender_addon.protocol.codec import peek_type
from blender_addon.protocol.limits import SMALL_HEADER
from blender_addon.protocol.messages import Hello, ListJobs
from server.broker.ports import Address, Buffer

__all__ = ["Lanes", "LanesSettings"]

_ANSWERED_BY_LISTS = frozenset({Hello.TYPE, ListJobs.TYPE})
Handler = Callable[[Address, Sequence[Buffer]], None]


@dataclass(frozen=True)
class LanesSettings:
    """Args: messages, size: that may wait for one user; patience: messages beyond that, until the user has none that
    wait, before it counts as a flood."""

    messages: int = 64
    size: int = 12 << 20
    patience: int = 512


@dataclass
class _Line:
    waiting: deque[tuple[Address, Sequence[Buffer]]] = field(
        default_factory=lambda: deque[tuple[Address, Sequence[Buffer]]]()
    )
    size: int = 0
    refused: int = 0


class Lanes:
    """Args: handle: looks at a message; refuse: answers one for which there is no room; flood: a user does not heed
    that answer."""

    def __init__(
        self, handle: Handler, refuse: Handler, flood: Callable[[Address], None], settings: LanesSettings | None = None
    ) -> None:
        self._handle = handle
        self._refuse = refuse
        self._flood = flood
        self._settings = settings or LanesSettings()
        self._lines: dict[str, _Line] = {}

    def __len__(self) -> int:
        return sum(len(line.waiting) for line in self._lines.values())

    def take(self, address: Address, frames: Sequence[Buffer]) -> None:
        """Handles a message now, or lets it wait for its turn."""
        line = self._lines.get(address.user)
        behind = line is not None and any(other == address for other, _frames in line.waiting)
        if not behind and not _takes_long(frames):
            self._handle(address, frames)
            return
        line = self._lines.setdefault(address.user, _Line())
        size = sum(map(_size, frames))
        if len(line.waiting) >= self._settings.messages or line.size + size > self._settings.size:
            line.refused += 1
            if line.refused > self._settings.patience:
                self._flood(address)
            else:
                self._refuse(address, frames)
            return
        line.waiting.append((address, frames))
        line.size += size

    def turn(self) -> bool:
        """Handles one message of the user whose turn it is; returns whether there was one."""
        user = next(iter(self._lines), None)
        if user is None:
            return False
        line = self._lines.pop(user)
        address, frames = line.waiting.popleft()
        line.size -= sum(map(_size, frames))
        if line.waiting:
            self._lines[user] = line  # Behind all others.
        self._handle(address, frames)
        return True

    def forget(self, user: str) -> None:
        """Drops what waits of a user."""
        self._lines.pop(user, None)


def _takes_long(frames: Sequence[Buffer]) -> bool:
    if len(frames) < 2:
        return False
    if _size(frames[1]) > SMALL_HEADER:
        return True
    header = bytes(frames[1])
    # Most have neither name anywhere; to look for its place takes a third of what decoding does.
    return any(name.encode() in header for name in _ANSWERED_BY_LISTS) and peek_type(frames) in _ANSWERED_BY_LISTS


def _size(buffer: Buffer) -> int:
    return buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)
