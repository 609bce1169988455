# SPDX-License-Identifier: Apache-2.0
"""What the broker needs of a way to run its gate and workers: here, or with Ray on other machines."""

from __future__ import annotations

from typing import IO, Protocol

__all__ = ["ChildProcess", "Executor"]


class ChildProcess(Protocol):
    """A gate or a worker. None of these calls waits."""

    @property
    def pid(self) -> int:
        """Process id, for the log and for measurements."""
        ...

    @property
    def stdin(self) -> IO[bytes]:
        """Where one line of settings is written to; its end tells the child that the broker is gone."""
        ...

    def dump_stacks(self) -> None:
        """Makes the process write the stacks of all its threads to its standard error, whatever it does; call it only
        when the process is ready. Nothing happens to one that has ended, or where the system cannot (Windows).
        """
        ...

    def stop(self) -> None:
        """Asks the process to end now (SIGTERM; TerminateProcess on Windows). Nothing happens to one that has ended."""
        ...

    def kill(self) -> None:
        """Ends the process, whatever it does. Nothing happens to one that has ended."""
        ...

    def poll(self) -> int | None:
        """Returns the exit code, or None while it runs; negative: the signal that ended it."""
        ...


class Executor(Protocol):
    """Starts gates and workers."""

    def spawn(self, role: str, index: int) -> ChildProcess:
        """Starts a process: role `gate` or `worker`; `index` counts from 0. May be called from any thread.

        Raises:
            SpawnError: the process cannot be started.
        """
        ...
