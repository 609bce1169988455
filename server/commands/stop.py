# SPDX-License-Identifier: Apache-2.0
"""`pgc-server stop`: after a checkpoint of what runs, or at once."""

from __future__ import annotations

import time
from typing import Annotated

import psutil
import typer

from blender_addon.protocol.messages import Done, Drain
from server.broker.connection import read_connection
from server.commands.admin import Admin, NotRunningError
from server.commands.failures import reports_failures
from server.commands.options import Data, paths_of
from server.config import ServerPaths
from server.errors import ServerError

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
    """Stop the server. Jobs that run are kept with their checkpoints, and go on at the next start."""
    paths = paths_of(data)
    process = _process(paths)
    if process is None:
        typer.echo("No server is running here.")
        return
    if now:
        _end(process)
    else:
        with Admin.open(paths) as admin:
            admin.ask(Drain(), Done)
        if not _has_ended(process, _DRAIN_SECONDS):
            raise ServerError(
                f"The server (process {process.pid}) is still saving its jobs after {_DRAIN_SECONDS:.0f} s; wait, or "
                "use: pgc-server stop --now"
            )
    typer.echo("The server has stopped.")


def _process(paths: ServerPaths) -> psutil.Process | None:
    """The server's process; None where none runs. A process that merely got the same number later is none."""
    connection = read_connection(paths.connection)
    if connection is None:
        return None
    try:
        process = psutil.Process(connection.pid)
        if process.create_time() > paths.connection.stat().st_mtime + 1.0:
            return None
        return process
    except (psutil.NoSuchProcess, FileNotFoundError):
        return None
    except psutil.AccessDenied as error:
        raise NotRunningError(f"The server (process {connection.pid}) belongs to another user.") from error


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


def _has_ended(process: psutil.Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False
