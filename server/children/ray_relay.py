# SPDX-License-Identifier: Apache-2.0
"""`python -m server.children.ray_relay`: stands beside the broker for a worker on a machine of a Ray cluster.

To the broker it *is* the worker: it gets the worker's settings, ends with its exit code, and where one of the two is
gone, so is the other. The worker itself talks to the broker as ever; nothing of a job goes through Ray, which only
finds a machine with a free card, and starts a process there. Only this module imports ray.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import subprocess
import sys
import threading
from typing import Any

from server.children.link import read_settings
from server.errors import ConfigError, ServerError

__all__ = ["check_token", "main"]

EXIT_LOST = 3
"""The machine, or the cluster's head, is gone; the broker starts another worker, and the job goes on there."""
_EXIT_SIGNAL = 128
_POLL_SECONDS = 0.5
_READ_BYTES = 4096


class _Host:
    """Runs the worker, on whatever machine Ray puts this."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, settings: bytes, path: str) -> int:
        """Runs the worker to its end; returns its exit code."""
        environment = {**os.environ, "PYTHONPATH": path} if path else dict(os.environ)
        command = [sys.executable, "-P", "-m", "server.worker"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
        assert self._process.stdin is not None
        self._process.stdin.write(settings)
        self._process.stdin.flush()
        return self._process.wait()

    def release(self) -> None:
        """Tells the worker that the broker is gone."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def stop(self) -> None:
        """Asks the worker to end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()


def check_token(variables: dict[str, str]) -> None:
    """Raises `ConfigError` unless Ray asks for a token: without one, whoever reaches it runs code."""
    if variables.get("RAY_AUTH_MODE") != "token":
        raise ConfigError(
            "Ray runs code of anybody who reaches it unless it asks for a token; set RAY_AUTH_MODE=token where the "
            "cluster and this server are started, and give both the same token (ray get-auth-token --generate)."
        )


def main() -> int:
    """Starts a worker somewhere and waits for it; returns its exit code."""
    gone, asked = threading.Event(), threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What the broker asks of a worker that hangs (its stacks) is nothing that a process here could know.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    line = sys.stdin.buffer.readline()
    try:
        settings = read_settings(io.BytesIO(line))
        check_token(dict(os.environ))
    except ServerError as error:
        sys.stderr.write(f"pgc-server: {error}\n")
        return 2
    threading.Thread(target=_watch, args=(gone,), name="stdin", daemon=True).start()
    ray: Any = importlib.import_module("ray")
    try:
        ray.init(address="auto", log_to_driver=False, configure_logging=False)
        wants_card = settings.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
        options = {"num_cpus": 0, "num_gpus": 1} if wants_card else {"num_cpus": 1}
        host = ray.remote(_Host).options(max_concurrency=3, max_restarts=0, **options).remote()
        return _followed(ray, host, host.run.remote(line, os.environ.get("PYTHONPATH", "")), (gone, asked))
    except (ray.exceptions.RayError, ConnectionError, RuntimeError) as error:
        sys.stderr.write(f"pgc-server: the Ray cluster or the worker's machine is gone ({type(error).__name__}).\n")
        return EXIT_LOST


def _followed(
    ray: Any,  # noqa: ANN401 - the module
    host: Any,  # noqa: ANN401 - Ray's handle of `_Host`
    ended: Any,  # noqa: ANN401 - and of what its `run` returns
    events: tuple[threading.Event, threading.Event],
) -> int:
    """The worker's exit code, when it has ended."""
    told = [False, False]
    while True:
        done, _ = ray.wait([ended], timeout=_POLL_SECONDS)
        if done:
            code = int(ray.get(ended))
            return code if code >= 0 else _EXIT_SIGNAL - code
        for index, (event, call) in enumerate(zip(events, (host.release, host.stop), strict=True)):
            if event.is_set() and not told[index]:
                told[index] = True
                call.remote()


def _watch(gone: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), _READ_BYTES):
        pass
    gone.set()


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Ray's own threads may keep an interpreter from its end when the cluster is gone.
    os._exit(code)
