# SPDX-License-Identifier: Apache-2.0
"""Which process is the server of a data folder: the one that holds the lock there, whatever a file says of numbers.

A process number in a file is believed by nobody: numbers are given anew, and a folder may have been copied, restored
from a backup, or be shared with a container in which the same number is another process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from server.broker.connection import read_connection
from server.config import ServerPaths
from server.errors import AlreadyRunningError, ConfigError
from server.platform import InstanceLock

__all__ = ["Running", "find_running"]


@dataclass(frozen=True)
class Running:
    """A server that runs. `process`: None where it cannot be seen from here, in a container or as another user."""

    process: psutil.Process | None

    @property
    def name(self) -> str:
        return "process unknown" if self.process is None else f"process {self.process.pid}"


def find_running(paths: ServerPaths) -> Running | None:
    """The server that holds the lock of this data folder; None where nobody does."""
    if not paths.lock.is_file():
        return None
    try:
        with InstanceLock(paths.lock):
            return None
    except AlreadyRunningError:
        return Running(next(_holders(paths), None))


def _holders(paths: ServerPaths) -> Iterator[psutil.Process]:
    """Processes that have the lock's file open, first the one that the connection file names."""
    for process in _candidates(paths):
        with contextlib.suppress(psutil.Error, OSError):  # It has ended, or is another user's.
            if any(_is_same_file(file.path, paths) for file in process.open_files()):
                yield process


def _candidates(paths: ServerPaths) -> Iterator[psutil.Process]:
    with contextlib.suppress(ConfigError, OSError, psutil.Error):
        connection = read_connection(paths.connection)
        if connection is not None and connection.pid > 0:
            yield psutil.Process(connection.pid)
    own = os.getpid()
    for process in psutil.process_iter():
        # Only Python runs a server; asking each process of a desktop for its files would take long.
        with contextlib.suppress(psutil.Error):
            if process.pid != own and "python" in process.name().lower():
                yield process


def _is_same_file(path: str, paths: ServerPaths) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(path, paths.lock)
    return False
