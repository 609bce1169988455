# SPDX-License-Identifier: Apache-2.0
"""Gates and workers as processes of this machine: the default.

child = LocalExecutor(paths).spawn("worker", 0)
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from server.config import ServerPaths
from server.errors import SpawnError
from server.platform import IS_WINDOWS, make_private_directory, request_stacks

__all__ = ["LocalChild", "LocalExecutor"]

_MODULES = {"gate": "server.gate", "worker": "server.worker"}
_KEPT_STDERR_BYTES = 1 << 20
_ROOT = Path(__file__).resolve().parents[2]


class LocalChild:
    """A `ChildProcess` of this machine."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """The process id, for the log and for measurements."""
        return self._process.pid

    @property
    def stdin(self) -> IO[bytes]:
        """Where the settings are written to; see `ChildProcess.stdin`."""
        assert self._process.stdin is not None
        return self._process.stdin

    def dump_stacks(self) -> None:
        """Makes the process write its stacks, unless it has ended; see `ChildProcess.dump_stacks`."""
        if self._process.poll() is None:
            request_stacks(self._process.pid)

    def stop(self) -> None:
        """Asks the process to end, unless it has ended."""
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """Ends the process, unless it has ended."""
        if self._process.poll() is None:
            self._process.kill()

    def poll(self) -> int | None:
        """Returns the exit code, or None while it runs; negative: the signal that ended it."""
        return self._process.poll()


class LocalExecutor:
    """Runs `python -m server.gate` and `python -m server.worker` with the broker's own interpreter.

    A child's raw standard error (a crash's last words) goes to `logs/<role>-<index>.stderr`.
    """

    def __init__(
        self, paths: ServerPaths, python: str = sys.executable, modules: Mapping[str, str] | None = None
    ) -> None:
        """`modules`: what is run for each role, where it is not the usual."""
        self._paths = paths
        self._python = python
        self._modules = _MODULES if modules is None else modules

    def spawn(self, role: str, index: int) -> LocalChild:
        """Starts a process of this machine; see `Executor.spawn`."""
        if role not in self._modules:
            raise SpawnError(f"There is no child process {role!r}; expected gate or worker.")
        try:
            make_private_directory(self._paths.logs)
            with _open_stderr(self._paths.logs / f"{role}-{index}.stderr") as errors:
                process = subprocess.Popen[bytes](
                    # -P: nothing is imported from the working directory.
                    [self._python, "-P", "-m", self._modules[role]],
                    stdin=subprocess.PIPE,
                    stdout=errors,
                    stderr=errors,
                    env=_environment(),
                    # Not in the client's folder, which may be gone tomorrow.
                    cwd=self._paths.root,
                    **_apart(),
                )
        except OSError as error:
            raise SpawnError(f"The {role} cannot be started ({error}); check the installation.") from error
        return LocalChild(process)


def _open_stderr(path: Path) -> IO[bytes]:
    """Appends; a file that has grown big starts anew."""
    big = path.is_file() and path.stat().st_size > _KEPT_STDERR_BYTES
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if big else 0), 0o600)
    return os.fdopen(descriptor, "wb")


def _environment() -> dict[str, str]:
    """The broker's own, with the folder that this server was imported from: a checkout need not be installed."""
    environment = dict(os.environ)
    known = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = str(_ROOT) if not known else os.pathsep.join([str(_ROOT), known])
    return environment


def _apart() -> dict[str, Any]:
    """Ctrl-C in the broker's terminal is the broker's to handle: children are told to stop and finish their files.

    A session of its own, since Linux may give processor time by session: see `server.children.priority`.
    """
    if IS_WINDOWS:
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return {"start_new_session": True}
