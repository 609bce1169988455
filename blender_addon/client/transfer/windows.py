# SPDX-License-Identifier: Apache-2.0
"""How many bytes may be under way. Pure: time is handed in.

A bulk transfer without a window fills every buffer between the two machines, and whatever comes behind it waits for
seconds. The receiver therefore says how much may be under way at most: the server for uploads, this side for
downloads. In both directions the client takes less where the line is slow.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Window", "WindowConfig"]

KIB = 1 << 10
MIB = 1 << 20


@dataclass(frozen=True)
class WindowConfig:
    """How many bytes a window has, and how many seconds it may take.

    Args:
        delay: how long a full window may take at the measured speed beyond the line's own time, and so the wait that
            it adds to other traffic.
    """

    smallest: int = 256 * KIB
    first: int = MIB
    largest: int = 16 * MIB
    delay: float = 0.08
    smoothing: float = 0.3


class Window:
    """clamp(bandwidth x (shortest round trip + delay)): small on a slow line, large on a fast or a long one.

    Without the round trip, a line of 100 ms could never have more under way than it delivers in 80.
    """

    def __init__(self, config: WindowConfig | None = None) -> None:
        self._config = config or WindowConfig()
        self._speed: float | None = None
        self._since: float | None = None
        self._bytes = 0
        self._round_trip = float("inf")
        self.size = self._config.first

    def received(self, count: int, now: float, took: float = 0.0) -> None:
        """Takes note that `count` bytes have arrived; `took`: seconds from the request for them, or from sending them,
        to now.
        """
        self._round_trip = min(self._round_trip, max(0.0, took))
        if self._since is None:
            # The first chunk only starts the clock: its own journey is latency, not bandwidth.
            self._since = now
            return
        self._bytes += count
        passed = now - self._since
        if passed < self._config.delay / 2:
            return
        speed = self._bytes / passed
        weight = self._config.smoothing
        self._speed = speed if self._speed is None else (1.0 - weight) * self._speed + weight * speed
        self._since, self._bytes = now, 0
        wanted = int(self._speed * (self._config.delay + self._round_trip))
        self.size = max(self._config.smallest, min(self._config.largest, wanted))

    def paused(self) -> None:
        """Stops the clock, since nothing is under way: the time until the next transfer is no measure of the line."""
        self._since, self._bytes = None, 0
