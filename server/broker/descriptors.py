# SPDX-License-Identifier: Apache-2.0
"""Open files and connections: how many of each there may be, and patience where they run out for a moment.

A process may open so many at once (256 where macOS starts it, if nobody raises the limit). Whoever connects takes one,
with a key or without, and so does each file of an upload: neither may take what the other needs.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from server.config import QuotaConfig

__all__ = ["LEAST_FILES", "Room", "patient", "ran_out_of_files", "room_for"]

T = TypeVar("T")
LEAST_FILES = 192
"""With fewer a server could not serve a handful of artists."""
_UNLIMITED = 1 << 16
_OWN = 64
"""For the server itself: sockets, journal, logs, pipes of its processes, files that are read and written in between."""
_PATIENCE_SECONDS = 2.0
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Room:
    """Args: connections: of clients, all together; strangers: of these, that have not said a word yet; uploads: files
    of uploads."""

    connections: int
    strangers: int
    uploads: int

    def within(self, quotas: QuotaConfig) -> QuotaConfig:
        """Returns the quotas, as far as there is room for them. A session has two connections."""
        sessions = (self.connections - self.strangers) // 2
        return replace(quotas, sessions=min(quotas.sessions, sessions), uploads=min(quotas.uploads, self.uploads))


def room_for(limit: int | None) -> Room:
    """Shares so many open files among connections, strangers and uploads; None: as many as one likes."""
    free = max((_UNLIMITED if limit is None else min(limit, _UNLIMITED)) - _OWN, LEAST_FILES - _OWN)
    uploads, strangers = min(512, free // 4), min(256, free // 8)
    return Room(free - uploads, strangers, uploads)


def patient(work: Callable[[], T]) -> Callable[[], T]:
    """Returns the same work, tried again for a while where files ran out: connections that were one too many are being
    cut.

    It must be fit to be done again from the start; opening a file is the first that most work does.
    """

    def with_patience() -> T:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return work()
            except Exception as error:
                if not ran_out_of_files(error) or time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE_SECONDS)

    return with_patience


def ran_out_of_files(error: BaseException) -> bool:
    """Says whether this process, or the system, has as many files open as it may."""
    found = error if isinstance(error, OSError) else error.__cause__
    return isinstance(found, OSError) and found.errno in (errno.EMFILE, errno.ENFILE)
