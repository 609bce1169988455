# SPDX-License-Identifier: Apache-2.0
"""Starts the server for a client that finds none."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from ...module_process import module_command, module_environment

__all__ = ["ServerStarter", "Starter", "start_server"]


@runtime_checkable
class Starter(Protocol):
    """Makes a server come up; neither call waits for it."""

    def start(self) -> None:
        """Begins to start a server. Raises OSError where not even that works."""
        ...

    def failure(self) -> str | None:
        """Says once why the last start failed; None while it goes on or after it went well."""
        ...

    def close(self) -> None:
        """Lets go of what was started, since the client ends; a server that is up stays."""
        ...


class ServerStarter:
    """Runs `python -P -m server start --detach`, which ends when the server is up.

    Args:
        python: interpreter that has the server installed.
        data: data directory of the server; None: the user's own.
        options: more options of `start`.
        source: folder that holds a server which need not be installed.
        variables: of its environment, by which it may be told what only newer versions have an option for: older ones
            do not look.
    """

    def __init__(
        self,
        python: str = sys.executable,
        data: Path | None = None,
        options: Sequence[str] = (),
        source: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        where = [] if data is None else ["--data", str(data)]
        self.command = module_command(python, "server", ["start", "--detach", *where, *options])
        self._environment = {**module_environment(python, source), **(variables or {})}
        self._process: subprocess.Popen[bytes] | None = None
        # A file, since nobody reads a pipe and the server may inherit it.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()

    def start(self) -> None:
        """Raises OSError where the interpreter cannot be run."""
        if self._process is not None and self._process.poll() is None:
            return
        self._output.seek(0)
        self._output.truncate()
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._output,
            env=self._environment,
            # Ctrl-C at the client is not meant for a server that is coming up.
            process_group=0 if os.name == "posix" else None,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )

    @property
    def running(self) -> bool:
        """Whether the command that brings the server up has not ended yet."""
        return self._process is not None and self._process.poll() is None

    def failure(self) -> str | None:
        """Says once why the start failed; None while it goes on or after it went well."""
        process = self._process
        if process is None or process.poll() is None:
            return None
        self._process = None
        if process.returncode == 0:
            return None
        self._output.seek(0)
        # A refused option comes in a frame of lines, whose last one says nothing.
        framed = self._output.read().decode("utf-8", "replace").splitlines()
        lines = [line.strip("│ \t\r") for line in framed if any(letter.isalnum() for letter in line)]
        last = lines[-1] if lines else f"it ended with exit code {process.returncode}"
        return f"The server cannot be started: {last}"

    def close(self) -> None:
        """Lets go of the process that started the server; the server goes on."""
        process = self._process
        if process is not None and process.poll() is None:
            # Its work goes on without us; Popen would complain about a child that nobody waits for.
            process.returncode = 0
        self._process = None
        self._output.close()


def start_server(python: str = sys.executable, data: Path | None = None) -> ServerStarter:
    """Starts a server now; `failure()` of what comes back tells why it did not come up."""
    starter = ServerStarter(python, data)
    starter.start()
    return starter
