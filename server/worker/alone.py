# SPDX-License-Identifier: Apache-2.0
"""One worker of a number at a time, also where its server was killed and started again.

The worker of a dead server sees that, ends its step and writes a checkpoint, which may take a while. A new one beside
it would load a second model onto the same card, and run out of memory or make both slow. So it waits for the other's
lock, and ends the other where that takes too long: its server is dead, and nobody waits for what it does.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

from server.errors import AlreadyRunningError
from server.platform import InstanceLock
from server.storage.holders import holders

__all__ = ["PATIENCE_SECONDS", "alone"]

_LOG = logging.getLogger(__name__)
PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.1


@contextmanager
def alone(lock_file: Path, stdin: IO[bytes] | None = None, patience: float = PATIENCE_SECONDS) -> Generator[None]:
    """Holds the lock, once the process that held it has ended: by itself, or after `patience` seconds by force.

    Args:
        stdin: its end means that our own server is gone; while we wait, this process then ends at once.
    """
    lock = InstanceLock(lock_file)
    waiting = threading.Event()
    waiting.set()
    try:
        if not _taken(lock):
            if stdin is not None:
                threading.Thread(target=_end_with, args=(stdin, waiting), name="waiting", daemon=True).start()
            _wait(lock, lock_file, patience)
        waiting.clear()
        yield
    finally:
        lock.release()


def _taken(lock: InstanceLock) -> bool:
    try:
        lock.acquire()
    except AlreadyRunningError:
        return False
    return True


def _wait(lock: InstanceLock, lock_file: Path, patience: float) -> None:
    _LOG.warning("the worker of an earlier server is still there; waiting for its end")
    began = time.monotonic()
    until = began + patience
    while not _taken(lock):
        if time.monotonic() > until:
            _end_holders(lock_file)
            until = time.monotonic() + patience
        time.sleep(_PAUSE_SECONDS)
    _LOG.info("it has ended after %.1f s", time.monotonic() - began)


def _end_holders(lock_file: Path) -> None:
    for process in holders(lock_file):
        _LOG.warning("process %d did not end by itself, and is ended", process.pid)
        try:
            process.kill()
        except psutil.Error as error:  # It has just ended, or it is another user's: then we go on waiting.
            _LOG.warning("process %d cannot be ended: %s", process.pid, error)


def _end_with(stdin: IO[bytes], waiting: threading.Event) -> None:
    while os.read(stdin.fileno(), 4096):
        pass
    if waiting.is_set():
        os._exit(0)
