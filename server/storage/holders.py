# SPDX-License-Identifier: Apache-2.0
"""Which process holds a lock: the one that has its file open, whatever a file says of numbers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

__all__ = ["holders"]


def holders(lock: Path, first: int | None = None) -> Iterator[psutil.Process]:
    """Yields the processes that have the lock's file open, as far as they can be seen from here.

    Args:
        first: number of a process that is looked at before all others.
    """
    for process in _candidates(first):
        with contextlib.suppress(psutil.Error, OSError):  # It has ended, or is another user's.
            if any(_is_same_file(file.path, lock) for file in process.open_files()):
                yield process


def _candidates(first: int | None) -> Iterator[psutil.Process]:
    if first is not None and first > 0:
        with contextlib.suppress(psutil.Error):
            yield psutil.Process(first)
    own = os.getpid()
    for process in psutil.process_iter():
        # Only Python runs a server; asking each process of a desktop for its files would take long.
        with contextlib.suppress(psutil.Error):
            if process.pid != own and "python" in process.name().lower():
                yield process


def _is_same_file(path: str, lock: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(path, lock)
    return False
