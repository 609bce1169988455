# SPDX-License-Identifier: Apache-2.0
"""When to ping, when a connection counts as lost, how long to wait before the next try. Pure: time is handed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Backoff", "BackoffConfig", "ClockWatch", "Heartbeat", "HeartbeatConfig", "Now"]


@dataclass(frozen=True)
class Now:
    """One reading of both clocks, in seconds.

    Args:
        mono: a clock that only runs forward; it may stand still while the machine sleeps.
        wall: the time of day, which does not.
    """

    mono: float
    wall: float


@dataclass(frozen=True)
class HeartbeatConfig:
    """Seconds between pings, and how many may go unanswered."""

    interval: float = 2.0
    liveness: int = 3


class Heartbeat:
    """Of one channel. Anything that comes in is a sign of life; pings make sure that something does."""

    def __init__(self, config: HeartbeatConfig, now: float) -> None:
        self._config = config
        self._next_ping = now + config.interval
        self._lost_at = now + config.interval * config.liveness

    @property
    def deadline(self) -> float:
        """When to look again."""
        return min(self._next_ping, self._lost_at)

    def heard(self, now: float) -> None:
        """Takes note that something came in."""
        self._lost_at = now + self._config.interval * self._config.liveness

    def ping_due(self, now: float) -> bool:
        """Says whether to send a ping now; the next one is then due an interval later."""
        if now < self._next_ping:
            return False
        self._next_ping = now + self._config.interval
        return True

    def lost(self, now: float) -> bool:
        """Says whether nothing came in for too long."""
        return now >= self._lost_at

    def probe(self, now: float) -> None:
        """Makes a ping due at once after a gap in time, and gives the other side one interval to answer, no more and no
        less.
        """
        self._next_ping = now
        self._lost_at = now + self._config.interval


@dataclass(frozen=True)
class BackoffConfig:
    """Seconds between tries to connect."""

    first: float = 0.25
    longest: float = 8.0
    factor: float = 2.0


class Backoff:
    """Growing waits with jitter, so that many clients do not come back in one moment.

    Args:
        random: gives numbers in [0, 1).
    """

    def __init__(self, config: BackoffConfig, random: Callable[[], float]) -> None:
        self._config = config
        self._random = random
        self._next = config.first

    def reset(self) -> None:
        """Starts from the shortest wait again, since a connection stands."""
        self._next = self._config.first

    def wait(self) -> float:
        """Returns the seconds until the next try: between half of the nominal wait and all of it."""
        nominal = self._next
        self._next = min(self._config.longest, nominal * self._config.factor)
        return nominal * (0.5 + 0.5 * self._random())


class ClockWatch:
    """Notices that time has passed while nothing ran: sleep of the machine, a stopped process, a turned clock."""

    def __init__(self, now: Now, tolerance: float = 3.0) -> None:
        self._last = now
        self._tolerance = tolerance

    def gap(self, now: Now, expected: float) -> float:
        """Returns the seconds that were missed since the last call, 0 for an ordinary tick.

        Args:
            expected: how long, at most, this call was meant to come after the last one.
        """
        passed = now.mono - self._last.mono
        drift = abs((now.wall - self._last.wall) - passed)
        self._last = now
        late = max(0.0, passed - expected)
        missed = max(drift, late)
        return missed if missed > self._tolerance else 0.0
