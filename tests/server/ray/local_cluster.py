# SPDX-License-Identifier: Apache-2.0
"""A Ray cluster of this machine: a head that runs nothing and a machine that works, to be killed and started anew."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import zmq

__all__ = ["LocalCluster", "processes_of"]

_HEAD_GONE_S = 5
"""After so many seconds without its head a machine gives up; Ray's own choice is a minute."""


def processes_of(words: str, name: str = "") -> list[psutil.Process]:
    """Returns the processes whose command line has this text, and whose program has this name."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if line and any(words in word for word in line) and name in line[0]:
            found.append(process)
    return found


class LocalCluster:
    """Starts and kills. All of its processes name its folder."""

    def __init__(self) -> None:
        # Names of Ray's sockets may be a hundred bytes long.
        self.folder = Path(f"/tmp/pgc-ray-{os.getpid()}")
        with zmq.Context() as context, context.socket(zmq.REP) as socket:
            self.address = f"127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.variables = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(self.folder),
            "RAY_ADDRESS": self.address,
            "RAY_raylet_start_wait_time_s": "150",
            "RAY_gcs_rpc_server_reconnect_timeout_s": str(_HEAD_GONE_S),
        }
        self._node: list[psutil.Process] = []
        self._environment: Mapping[str, str] = {**os.environ, **self.variables}

    def start_head(self) -> None:
        """Starts the head, at the same address each time."""
        port = self.address.rpartition(":")[2]
        self._ray("--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={self.folder}")

    def start_node(self) -> None:
        """Starts a machine with room for one worker."""
        before = {process.pid for process in processes_of(str(self.folder))}
        self._ray(f"--address={self.address}", "--num-cpus=1")
        self._node = [process for process in processes_of(str(self.folder)) if process.pid not in before]

    def kill_node(self) -> None:
        """Kills the machine, with all that it runs."""
        for process in self._node:
            _kill(process)

    def kill_head(self) -> None:
        """Kills the head's processes and no other."""
        spared = {process.pid for process in self._node}
        spared |= {child.pid for process in self._node if process.is_running() for child in process.children(True)}
        for process in processes_of(str(self.folder)):
            if process.pid not in spared:
                _kill(process)

    def close(self) -> None:
        """Leaves nothing behind."""
        for _ in range(2):
            for process in processes_of(str(self.folder)):
                _kill(process)
            time.sleep(0.2)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ray(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *arguments]
        command += ["--node-ip-address=127.0.0.1", "--object-store-memory=80000000"]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def _kill(process: psutil.Process) -> None:
    """Ends a process and what it has started: Ray's own children change their names."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in (*process.children(recursive=True), process):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
