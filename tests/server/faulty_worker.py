# SPDX-License-Identifier: Apache-2.0
"""The worker, with faults that a job's number of steps asks for. Signals that end a process do not end this one."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

import torch

from pgc.optimization.loop import Optimization
from server.worker.__main__ import main

HANG, KILLED, STICKY_ONCE, OUT_OF_MEMORY_ONCE, OUT_OF_MEMORY = 5, 6, 7, 8, 9
"""Steps of a job that meets this fault at its third step."""
SLOW = 11
"""Steps of a job whose steps take as long as PGC_SLOW_STEP says, in seconds."""
HANGING = "hanging"
"""A file that is there once a worker hangs."""
_ADVANCE = Optimization.advance


def advance_or_fail(self):
    """A step, or the fault."""
    steps = self.config.steps
    if steps == SLOW:
        time.sleep(float(os.environ["PGC_SLOW_STEP"]))
    if self.step < 2 or steps not in (HANG, KILLED, STICKY_ONCE, OUT_OF_MEMORY_ONCE, OUT_OF_MEMORY):
        return _ADVANCE(self)
    if steps == HANG:
        hang()
    elif steps == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    elif steps == STICKY_ONCE and first_time(steps):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    elif steps == OUT_OF_MEMORY or (steps == OUT_OF_MEMORY_ONCE and first_time(steps)):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return _ADVANCE(self)


def hang():
    """C code that waits for a lock and keeps Python's, as a driver may: no other thread runs, no signal is handled."""
    Path(HANGING).touch()
    library, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(128)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)  # Held already, by us.
    raise AssertionError("a lock was taken twice")


def first_time(steps):
    """Whether no worker of this data directory met this fault before. Workers live in that directory."""
    marker = Path(f"fault-{steps}")
    there = marker.exists()
    marker.touch()
    return not there


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Optimization.advance = advance_or_fail
    sys.exit(main())
