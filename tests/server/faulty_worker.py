# SPDX-License-Identifier: Apache-2.0
"""The worker, but a job of `HANG` steps never ends its third one. Signals that end a process do not end this one."""

import ctypes
import signal
import sys

from pgc.optimize import Optimization
from server.worker.__main__ import main

HANG = 5
_ADVANCE = Optimization.advance


def advance_or_hang(self):
    """A step, or the fault."""
    if self.step == 2 and self.config.steps == HANG:
        hang()
    return _ADVANCE(self)


def hang():
    """C code that waits for a lock and keeps Python's, as a driver may: no other thread runs, no signal is handled."""
    library, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(128)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)  # Held already, by us.
    raise AssertionError("a lock was taken twice")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Optimization.advance = advance_or_hang
    sys.exit(main())
