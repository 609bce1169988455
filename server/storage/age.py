# SPDX-License-Identifier: Apache-2.0
"""How old things are, whatever the clock says.

What is old is deleted, and a clock that is set forward by a month makes everything old. So jumps are noticed (the wall
clock against the monotonic one while the server runs; a long gap between two runs) and do not count as age. The error
is on the safe side: a machine that slept, or a server that did not run, ages things less than the calendar does.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.errors import ConfigError
from server.json_files import read_json_map
from server.platform import write_private

__all__ = ["AgeClock", "Jump", "clock_file"]

_LOG = logging.getLogger(__name__)
_NOTICED = 600.0
"""Seconds by which the clocks may differ between two looks before it counts as a jump."""
_LONGEST_GAP = 86400.0
"""Of the time between two runs no more than this counts: nobody can tell a holiday from a wrong clock."""
_KEPT = 64
_NEVER = 0.0
"""In place of the time before a jump: all that is older than the jump then counts as made at the jump."""
_SAVE_SECONDS = 600.0


@dataclass(frozen=True)
class Jump:
    """The wall clock stood at `at`, and at the same moment, later counted, at `to`."""

    at: float
    to: float


class AgeClock:
    """Ages of things by their time stamps. Not thread-safe, save for `age`.

    Args:
        path: file that remembers the jumps; without one (or with a damaged one) nothing has any age yet.
        wall, monotonic: seconds.
    """

    def __init__(
        self,
        path: Path,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._wall, self._monotonic = path, wall, monotonic
        now = wall()
        found = _read(path)
        if found is None:
            self._jumps: tuple[Jump, ...] = (Jump(_NEVER, now),)
        else:
            last, self._jumps = found
            if now - last > _LONGEST_GAP:
                self._add(Jump(last, now - _LONGEST_GAP))
            elif now - last < -_NOTICED:
                self._add(Jump(last, now))
        self._last = (now, monotonic())
        self._saved = monotonic()

    def age(self, since: float) -> float:
        """Returns the seconds that have passed since a time stamp of the wall clock, at the least; never negative.

        Between two jumps the clock ran. After it was set back the same time came twice: then the later one counts,
        which makes the thing younger.
        """
        passed, end = 0.0, self._wall()
        for jump in reversed(self._jumps):
            if since >= jump.to:
                break
            passed += max(0.0, end - jump.to)
            end = jump.at
        return passed + max(0.0, end - since)

    def tick(self) -> bool:
        """Looks at both clocks; to be called often. Whether it is time to `save`."""
        wall, monotonic = self._wall(), self._monotonic()
        expected = self._last[0] + monotonic - self._last[1]
        jumped = wall - expected
        if abs(jumped) > _NOTICED:
            _LOG.warning("the clock was moved by %.1f h; nothing is older for that", jumped / 3600.0)
            self._add(Jump(expected, wall))
            self._saved = -_SAVE_SECONDS
        elif self._jumps and wall < self._jumps[-1].to:
            # Put back a little behind the last jump: what is made now must not seem to be from before it.
            self._jumps = (*self._jumps[:-1], Jump(self._jumps[-1].at, wall))
        self._last = (wall, monotonic)
        return monotonic - self._saved >= _SAVE_SECONDS

    def save(self) -> None:
        """Remembers the jumps for the next run. Raises OSError where that cannot be written."""
        self._saved = self._monotonic()
        write_private(self._path, clock_file(self._last[0], self._jumps))

    def _add(self, jump: Jump) -> None:
        self._jumps = (*self._jumps, jump)
        if len(self._jumps) > _KEPT:
            # What is from before the oldest jump that is kept is then as old as that jump.
            kept = self._jumps[-_KEPT:]
            self._jumps = (Jump(_NEVER, kept[0].to), *kept[1:])


def clock_file(last: float, jumps: Sequence[Jump] = ()) -> bytes:
    """Returns the bytes of a clock's file: when the clock was last looked at, and its jumps. They have a checksum,
    since one changed digit could make everything old, and what is old is deleted.
    """
    pairs = [[jump.at, jump.to] for jump in jumps]
    return json.dumps({"last": last, "jumps": pairs, "sha256": _checksum(last, pairs)}).encode()


def _checksum(last: object, pairs: object) -> str:
    return hashlib.sha256(json.dumps([last, pairs]).encode()).hexdigest()


def _read(path: Path) -> tuple[float, tuple[Jump, ...]] | None:
    try:
        content = read_json_map(path)
        last, pairs = content["last"], content["jumps"]
        if content.get("sha256") != _checksum(last, pairs):
            raise ValueError("the checksum is another")
        return float(last), tuple(Jump(float(at), float(to)) for at, to in pairs)
    except FileNotFoundError:
        return None
    except (ConfigError, ValueError, TypeError, KeyError) as error:
        _LOG.warning("%s cannot be read (%s): ages count from now", path.name, error)
        return None
