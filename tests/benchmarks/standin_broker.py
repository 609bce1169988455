# SPDX-License-Identifier: Apache-2.0
"""The real broker and the real gate in processes of their own, with workers of the benchmark's choice.

with StandinServer(workers=20, users=50) as server:
    addresses = [server.address(keys) for keys in server.users]
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import psutil

from blender_addon import client as wire
from server.broker.main import run_broker
from server.broker.sessions.auth import KeyPair, add_client, new_key_pair
from server.children.local_executor import LocalChild, LocalExecutor
from server.config import ServerConfig, ServerPaths

ROOT = Path(__file__).resolve().parents[2]
STANDIN = "tests.benchmarks.standin_worker"
_START_SECONDS = 60.0


class StandinExecutor:
    """The gate is the real one, workers run `module`."""

    def __init__(self, paths: ServerPaths, module: str) -> None:
        self._real = LocalExecutor(paths)
        self._module = module

    def spawn(self, role: str, index: int) -> LocalChild:
        """See `Executor.spawn`."""
        if role == "gate":
            return self._real.spawn(role, index)
        command = [sys.executable, "-m", self._module]
        return LocalChild(subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT, process_group=0))


class StandinServer:
    """A broker process in a temporary folder, with an allow-list of so many users. `module`: of its workers;
    `folder`: where that folder is made (None: where temporary files are)."""

    def __init__(self, workers: int = 1, users: int = 0, module: str = STANDIN, folder: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="pgc-bench-", dir=folder, ignore_cleanup_errors=True)
        self.paths = ServerPaths(Path(self._folder.name) / "data")
        self.users: list[KeyPair] = []
        for number in range(users):
            keys = new_key_pair()
            add_client(self.paths, f"user-{number}", keys.public)
            self.users.append(keys)
        command = [sys.executable, "-m", "tests.benchmarks.standin_broker", str(self.paths.root)]
        self._command = [*command, str(workers), module]
        self._process: subprocess.Popen[bytes] | None = None

    def address(self, keys: KeyPair | None = None) -> wire.ServerAddress:
        """For the product's client, as the local user or as another one."""
        local = wire.ServerAddress.from_connection_file(self.paths.connection)
        return local if keys is None else replace(local, client_public=keys.public, client_secret=keys.secret)

    @property
    def process(self) -> psutil.Process:
        """The broker's."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    @property
    def resident(self) -> int:
        """Bytes of the broker process."""
        return self.process.memory_info().rss

    def workers(self) -> list[psutil.Process]:
        """Its worker processes that are not gone."""
        found: list[psutil.Process] = []
        for child in self.process.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if self._command[-1] in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child)
        return found

    def __enter__(self) -> StandinServer:
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdin=subprocess.PIPE)
        deadline = time.monotonic() + _START_SECONDS
        while not self.paths.connection.is_file():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The broker did not start; exit code {self._process.poll()}.")
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


def main() -> int:
    """Serve until SIGTERM, or until the benchmark has ended, however it did."""
    paths, stop = ServerPaths(Path(sys.argv[1])), threading.Event()

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        stop.set()

    threading.Thread(target=watch, name="stdin", daemon=True).start()
    return run_broker(
        ServerConfig(paths=paths, workers=int(sys.argv[2])), executor=StandinExecutor(paths, sys.argv[3]), stop=stop
    )


if __name__ == "__main__":
    sys.exit(main())
