# SPDX-License-Identifier: Apache-2.0
"""`pgc-server stop`: after a checkpoint of what runs, or at once."""

from __future__ import annotations

import time
from typing import Annotated

import psutil
import typer

from blender_addon.protocol.messages import Done, Drain
from server.commands.admin import Admin, NotRunningError
from server.commands.failures import reports_failures
from server.commands.options import Data, paths_of
from server.commands.running import Running, find_running
from server.config import ServerPaths
from server.errors import ConfigError, ServerError

__all__ = ["stop"]

_DRAIN_SECONDS = 45.0
_TERMINATE_SECONDS = 5.0


@reports_failures
def stop(
    data: Data = None,
    now: Annotated[
        bool, typer.Option("--now", help="Do not wait for checkpoints: work since the last ones is done again.")
    ] = False,
) -> None:
    """Stops the server. Jobs that run are kept with their checkpoints, and go on at the next start."""
    paths = paths_of(data)
    running = find_running(paths)
    if running is None:
        typer.echo("No server is running here.")
        return
    if now:
        _end(_visible(running))
    else:
        _drain(paths, running)
        if not _has_ended(paths, _DRAIN_SECONDS):
            raise ServerError(
                f"The server ({running.name}) is still saving its jobs after {_DRAIN_SECONDS:.0f} s; wait, or "
                "use: pgc-server stop --now"
            )
    typer.echo("The server has stopped.")


def _drain(paths: ServerPaths, running: Running) -> None:
    """Ask it over its own connection; where that leads nowhere, the system asks it, which means the same to it."""
    try:
        with Admin.open(paths) as admin:
            admin.ask(Drain(), Done)
    except (ConfigError, NotRunningError):
        _signal(_visible(running), kill=False)


def _visible(running: Running) -> psutil.Process:
    if running.process is None:
        raise NotRunningError(
            "A server holds the lock of this data folder, but its process cannot be seen from here: it belongs to "
            "another user, or runs in a container. Stop it there."
        )
    return running.process


def _end(process: psutil.Process) -> None:
    """Workers and gate first, so that the broker has nothing to wait for; then the broker."""
    everything = [*process.children(recursive=True), process]
    for one in everything:
        _signal(one, kill=False)
    _gone, alive = psutil.wait_procs(everything, timeout=_TERMINATE_SECONDS)
    for one in alive:
        _signal(one, kill=True)
    psutil.wait_procs(alive, timeout=_TERMINATE_SECONDS)


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        process.kill() if kill else process.terminate()
    except psutil.NoSuchProcess:
        return  # It was faster.


def _has_ended(paths: ServerPaths, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if find_running(paths) is None:
            return True
        time.sleep(0.1)
    return False
