# SPDX-License-Identifier: Apache-2.0
"""How many bytes may be under way. Pure: time is handed in.

A bulk transfer without a window fills every buffer between the two machines, and whatever comes behind it waits for
seconds. The receiver therefore says how much may be under way: the server for uploads, `DownloadWindow` for downloads.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DownloadWindow", "DownloadWindowConfig"]

KIB = 1 << 10
MIB = 1 << 20


@dataclass(frozen=True)
class DownloadWindowConfig:
    """Bytes and seconds.

    Args:
        delay: how long a full window may take at the measured speed, and so the wait that it adds to other traffic.
    """

    smallest: int = 256 * KIB
    first: int = MIB
    largest: int = 4 * MIB
    delay: float = 0.08
    smoothing: float = 0.3


class DownloadWindow:
    """clamp(bandwidth x delay): small on a slow line, large on a fast one."""

    def __init__(self, config: DownloadWindowConfig | None = None) -> None:
        self._config = config or DownloadWindowConfig()
        self._speed: float | None = None
        self._since: float | None = None
        self._bytes = 0
        self.size = self._config.first

    def received(self, count: int, now: float) -> None:
        """`count` bytes of a download came in."""
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
        wanted = int(self._speed * self._config.delay)
        self.size = max(self._config.smallest, min(self._config.largest, wanted))

    def paused(self) -> None:
        """Nothing is under way: the time until the next download is no measure of the line."""
        self._since, self._bytes = None, 0
