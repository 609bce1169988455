# SPDX-License-Identifier: Apache-2.0
"""A server of one's own that lives no longer than its owner: for the demo, and for tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

__all__ = ["PrivateServer"]

_DRAIN_SECONDS = 20.0
_TERMINATE_SECONDS = 5.0


class PrivateServer:
    """A server in a temporary folder. It ends when its standard input does: with this object, or with this process,
    however that ends. Serves the client as its starter, so that a server that crashes is started again.

        with PrivateServer() as server, Client(server.connection, starter=server) as client:
            ...
    """

    def __init__(self, device: str = "auto", options: Sequence[str] = (), source: Path | None = None) -> None:
        # Cleaning up must not hide why a run failed, and Windows keeps open files.
        self._folder = tempfile.TemporaryDirectory(prefix="pgc-server-", ignore_cleanup_errors=True)
        self.data = Path(self._folder.name) / "data"
        self._log = Path(self._folder.name) / "server.err"
        from blender_addon.module_process import module_command, module_environment

        arguments = ["start", "--data", str(self.data), "--device", device, "--until-eof", *options]
        self._command = module_command(sys.executable, "server", arguments)
        self._environment = module_environment(sys.executable, source)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = False

    @property
    def connection(self) -> Path:
        """The connection file, once the server is up."""
        return self.data / "connection.json"

    @property
    def pid(self) -> int | None:
        """The number of the server's front process; None while there is none."""
        return None if self._process is None else self._process.pid

    def __enter__(self) -> PrivateServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the server if it does not run; returns at once. Raises OSError where that fails."""
        with self._lock:
            if self._closing or (self._process is not None and self._process.poll() is None):
                return
            self._release()
            with self._log.open("wb") as log:
                # A process group of its own: Ctrl-C is for this process, which ends the server in its own time.
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    env=self._environment,
                    process_group=0 if os.name == "posix" else None,
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                )

    def failure(self) -> str | None:
        """Returns what the server said last, if it ended by itself before it was up."""
        process = self._process
        if process is None or process.poll() is None or self.connection.is_file() or self._closing:
            return None
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        last = lines[-1] if lines else f"it ended with exit code {process.returncode}"
        with self._lock:
            self._release()
        return f"The server cannot be started: {last}"

    def close(self) -> None:
        """Does nothing as the client is closed; the server ends with `stop`."""

    def stop(self) -> None:
        """Ends the server, gently if it listens, and removes its folder."""
        with self._lock:
            self._closing = True
            self._release()
        self._folder.cleanup()

    def _release(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        for end, seconds in ((None, _DRAIN_SECONDS), (process.terminate, _TERMINATE_SECONDS), (process.kill, None)):
            if end is not None:
                end()
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
            return
