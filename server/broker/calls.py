# SPDX-License-Identifier: Apache-2.0
"""What other threads hand to the broker's one thread: functions in a line, and a socket that wakes it."""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import time
from collections.abc import Callable

__all__ = ["Calls"]

_LOG = logging.getLogger(__name__)


class Calls:
    """Functions that wait for the loop's thread.

    Args:
        run: calls one of them; what it raises is nobody else's matter.
    """

    def __init__(self, run: Callable[[Callable[[], None]], None]) -> None:
        self._run = run
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def __bool__(self) -> bool:
        return not self._waiting.empty()

    def fileno(self) -> int:
        """Returns what a poller waits on."""
        return self._reader.fileno()

    def put(self, function: Callable[[], None]) -> None:
        """Puts a function into the line and wakes the loop; from any thread."""
        self._waiting.put(function)
        try:
            self._writer.send(b"\0")
        except (BlockingIOError, OSError) as error:
            # Full: the loop is about to wake up anyway. Closed: nobody waits for it any more.
            if not isinstance(error, BlockingIOError):
                _LOG.debug("the loop has ended")

    def take(self, deadline: float) -> None:
        """Runs what waits, until the line is empty or the monotonic clock passes `deadline`."""
        with contextlib.suppress(BlockingIOError):  # Woken by a socket.
            self._reader.recv(4096)
        while time.monotonic() < deadline:
            try:
                function = self._waiting.get_nowait()
            except queue.Empty:
                return
            self._run(function)

    def close(self) -> None:
        """Closes the waking socket; what is put from now on waits for nobody."""
        self._reader.close()
        self._writer.close()
