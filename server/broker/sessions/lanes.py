# SPDX-License-Identifier: Apache-2.0
"""Messages whose headers are large take milliseconds to decode: they wait in a line for each user, and users take
turns. Small ones go at once, but never past a larger one of the same connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from blender_addon.protocol.limits import SMALL_HEADER
from server.broker.ports import Address, Buffer

__all__ = ["Lanes", "LanesSettings"]

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
        """Handle a message now, or let it wait for its turn."""
        header = _size(frames[1]) if len(frames) > 1 else 0
        line = self._lines.get(address.user)
        behind = line is not None and any(other == address for other, _frames in line.waiting)
        if header <= SMALL_HEADER and not behind:
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
        """Handle one message of the user whose turn it is; returns whether there was one."""
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
        """Drop what waits of a user."""
        self._lines.pop(user, None)


def _size(buffer: Buffer) -> int:
    return buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)
