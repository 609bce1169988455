# SPDX-License-Identifier: Apache-2.0
"""Which process is the server of a data folder: the one that holds the lock there, whatever a file says of numbers.

A process number in a file is believed by nobody: numbers are given anew, and a folder may have been copied, restored
from a backup, or be shared with a container in which the same number is another process.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import psutil

from server.config import ServerPaths
from server.errors import AlreadyRunningError, ConfigError
from server.platform import InstanceLock
from server.storage.connection import read_connection
from server.storage.holders import holders

__all__ = ["Running", "find_running"]


@dataclass(frozen=True)
class Running:
    """A server that runs. `process`: None where it cannot be seen from here, in a container or as another user."""

    process: psutil.Process | None

    @property
    def name(self) -> str:
        """What a person reads of the server's process."""
        return "process unknown" if self.process is None else f"process {self.process.pid}"


def find_running(paths: ServerPaths) -> Running | None:
    """Returns the server that holds the lock of this data folder; None where nobody does."""
    if not paths.lock.is_file():
        return None
    try:
        with InstanceLock(paths.lock):
            return None
    except AlreadyRunningError:
        return Running(next(holders(paths.lock, _named(paths)), None))


def _named(paths: ServerPaths) -> int | None:
    """The process that the connection file names."""
    with contextlib.suppress(ConfigError, OSError):
        connection = read_connection(paths.connection)
        return None if connection is None else connection.pid
    return None
