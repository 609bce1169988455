# SPDX-License-Identifier: Apache-2.0
"""A server process on a folder whose files are damaged between two of its runs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import psutil

from pgc.commands.texturing.remote import source_root
from server.config import ServerPaths
from server.errors import ConfigError
from server.storage.connection import Connection, read_connection
from server.storage.quarantine import REASONS
from tests.server.fuzzing.damage import damaged_bytes

__all__ = ["DamagedServer", "damage"]

_START_SECONDS = 90.0
_END_SECONDS = 30.0
INTERVAL = 0.5
"""Seconds between checkpoints: short enough that a job of 50 steps has some."""


class DamagedServer:
    """One server at a time."""

    def __init__(self, data: Path) -> None:
        self.paths = ServerPaths(data)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str | None:
        """Starts; returns what it said where it ended by itself instead."""
        command = [sys.executable, "-m", "server", "start", "--data", str(self.paths.root), "--device", "cpu"]
        command += ["--until-eof", "--checkpoint-seconds", str(INTERVAL)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, cwd=source_root(), env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return self._last_words()
            if self._is_up():
                return None
            time.sleep(0.05)
        self.kill("broker")
        return f"it was not up after {_START_SECONDS:.0f} s"

    def _last_words(self) -> str:
        assert self._process is not None
        words = self._process.communicate()[1].decode(errors="replace").strip()
        return words or f"nothing, exit code {self._process.returncode}"

    def _is_up(self) -> bool:
        assert self._process is not None
        with contextlib.suppress(ConfigError):
            connection = read_connection(self.paths.connection)
            return connection is not None and connection.pid == self._process.pid
        return False

    def connection(self) -> Connection:
        """Of the running server."""
        connection = read_connection(self.paths.connection)
        assert connection is not None
        return connection

    def kill(self, victim: str) -> bool:
        """kill -9; False where there is no such process at the moment. A broker's children end by themselves."""
        assert self._process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            broker = psutil.Process(self._process.pid)
            children = broker.children(recursive=True)
            if victim == "broker":
                broker.kill()
                self._process.communicate()
                psutil.wait_procs(children, _END_SECONDS)
                return True
            for child in children:
                if f"server.{victim}" in child.cmdline():
                    child.kill()
                    return True
        return False

    def mend(self, damaged: str) -> None:
        """Does what the sentence of a server that did not start says: the file goes."""
        (self.paths.root / damaged).unlink(missing_ok=True)

    def journal_was_damaged(self) -> bool:
        """Whether the server says so."""
        return any("journal" in path.read_text("utf-8") for path in self.paths.quarantine.rglob(REASONS))

    def end(self) -> None:
        """Closes its standard input, on which it ends."""
        if self._process is None or self._process.poll() is not None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()


def damage(rng: Random, root: Path, choose: str | None = None) -> tuple[str, str]:
    """Damages one file of a folder; returns its path in it, and how."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and "quarantine" not in path.parts)
    files = [path for path in files if choose is None or choose in path.as_posix()]
    path = rng.choice(files)
    how = rng.choice(("flipped bits in", "flipped bits in", "cut", "deleted", "damaged"))
    data = path.read_bytes()
    match how:
        case "deleted":
            path.unlink()
        case "cut":
            path.write_bytes(data[: rng.randrange(len(data) + 1)])
        case "damaged":
            path.write_bytes(damaged_bytes(rng, data))
        case _:
            changed = bytearray(data)
            for _ in range(rng.choice((1, 1, 8))):
                if changed:
                    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            path.write_bytes(changed)
    return path.relative_to(root).as_posix(), how
