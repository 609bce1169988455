# SPDX-License-Identifier: Apache-2.0
"""`pgc-server start`: in this terminal, or detached from it."""

from __future__ import annotations

import math
import os
import threading
import time
from typing import Annotated

import typer

from server.commands.admin import Admin, NotRunningError
from server.commands.failures import reports_failures
from server.commands.options import Data, paths_of
from server.commands.spawning import spawn_server
from server.config import GIB, Device, ExecutorName, ListenConfig, QuotaConfig, Rasterizer, ServerConfig, ServerPaths
from server.errors import AlreadyRunningError, ConfigError, SpawnError
from server.platform import make_private_directory
from server.storage.ownership import claim_data_folder

__all__ = ["start"]

_READY_SECONDS = 30.0
_STANDARD_INPUT = 0
"""By number: sys.stdin is None where the process was started without one."""
_DEVICES: tuple[Device, ...] = ("auto", "cpu", "cuda")
_EXECUTORS: tuple[ExecutorName, ...] = ("local", "ray")
_RASTERIZERS: tuple[Rasterizer, ...] = ("auto", "warp", "nvdiffrast")


@reports_failures
def start(  # noqa: PLR0913 - one parameter an option
    data: Data = None,
    detach: Annotated[bool, typer.Option("--detach", help="Run in the background; returns when it is ready.")] = False,
    device: Annotated[str, typer.Option(help="Where jobs run: auto, cpu or cuda.")] = "auto",
    rasterizer: Annotated[
        str, typer.Option(help="What draws the views: auto, warp, or nvdiffrast (non-commercial licence).")
    ] = "auto",
    executor: Annotated[
        str, typer.Option(help="Where workers run: local, or ray (a cluster of Linux machines that share --data).")
    ] = "local",
    workers: Annotated[int, typer.Option(help="Worker processes: one a graphics card.")] = 1,
    listen: Annotated[str, typer.Option(help="Address for other machines; pair them first.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Control port, the next one carries data; 0 takes free ones.")] = 0,
    start_paused: Annotated[
        bool, typer.Option("--start-paused", help="Accept jobs, but run none before it is resumed.")
    ] = False,
    low_priority: Annotated[
        bool,
        typer.Option(
            "--low-priority",
            envvar="PGC_SERVER_LOW_PRIORITY",
            help="Let workers on the CPU go behind other programs, as Blender's own do.",
        ),
    ] = False,
    checkpoint_seconds: Annotated[float, typer.Option(help="Least time between checkpoints of a job.")] = 20.0,
    disk_floor: Annotated[
        float | None,
        typer.Option(
            help="Take on nothing new with less room than this on the disk, in GiB; by default 5, and no more than a "
            "twentieth of the disk."
        ),
    ] = None,
    until_eof: Annotated[bool, typer.Option("--until-eof", hidden=True, help="End when standard input ends.")] = False,
) -> None:
    """Starts the server. It keeps running, and its jobs with it, whatever happens to Blender."""
    config = ServerConfig(
        paths=paths_of(data),
        listen=ListenConfig(host=listen, ctl_port=port, bulk_port=port + 1 if port else 0),
        device=_device(device),
        rasterizer=_rasterizer(rasterizer),
        executor=_executor(executor),
        workers=workers,
        checkpoint_seconds=checkpoint_seconds,
        low_priority=low_priority,
        start_paused=start_paused,
        quotas=QuotaConfig(disk_floor=None if disk_floor is None else _bytes(disk_floor)),
    )
    if detach and until_eof:
        raise ConfigError("--detach and --until-eof exclude each other; give one of them.")
    if detach:
        _detach(config)
        return
    raise typer.Exit(_run(config, until_eof))


def _bytes(gib: float) -> int:
    if not 0 <= gib < math.inf:
        raise ConfigError(f"--disk-floor is {gib:g}; expected GiB, 0 or more.")
    return round(gib * GIB)


def _device(name: str) -> Device:
    for known in _DEVICES:
        if name == known:
            return known
    raise ConfigError(f"--device is {name!r}; expected one of {', '.join(_DEVICES)}.")


def _rasterizer(name: str) -> Rasterizer:
    for known in _RASTERIZERS:
        if name == known:
            return known
    raise ConfigError(f"--rasterizer is {name!r}; expected one of {', '.join(_RASTERIZERS)}.")


def _executor(name: str) -> ExecutorName:
    for known in _EXECUTORS:
        if name == known:
            return known
    raise ConfigError(f"--executor is {name!r}; expected one of {', '.join(_EXECUTORS)}.")


def _run(config: ServerConfig, until_eof: bool) -> int:
    # The broker's imports take a moment that --help need not wait for.
    from server.broker.main import run_broker

    stop = threading.Event()
    if until_eof:
        threading.Thread(target=_watch, args=(_STANDARD_INPUT, stop), name="stdin", daemon=True).start()
    return run_broker(config, stop=stop)


def _watch(descriptor: int, stop: threading.Event) -> None:
    while os.read(descriptor, 4096):
        pass
    stop.set()


def _detach(config: ServerConfig) -> None:
    """Start the same server in a process of its own, and wait until it answers."""
    paths = config.paths
    running = _answering(paths)
    if running is not None:
        raise AlreadyRunningError(f"A server is running already: {running}")
    claim_data_folder(paths)
    make_private_directory(paths.logs)
    with (paths.logs / "start.stderr").open("wb") as errors:
        process = spawn_server(_arguments(config), errors, detached=True)
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SpawnError(_why_it_ended(paths, process.returncode))
        answer = _answering(paths, process.pid)
        if answer is not None:
            # Its life goes on without us; Popen would complain about a child that nobody waits for.
            process.returncode = 0
            typer.echo(answer)
            return
        time.sleep(0.1)
    process.terminate()
    raise SpawnError(f"The server was not ready within {_READY_SECONDS:.0f} s; look into {paths.logs}.")


def _arguments(config: ServerConfig) -> list[str]:
    """The command line that gives this configuration."""
    listen = config.listen
    arguments = ["start", "--data", str(config.paths.root), "--device", config.device]
    arguments += ["--rasterizer", config.rasterizer, "--executor", config.executor]
    arguments += ["--workers", str(config.workers), "--listen", listen.host, "--port", str(listen.ctl_port)]
    arguments += ["--checkpoint-seconds", str(config.checkpoint_seconds)]
    floor = config.quotas.disk_floor
    arguments += [] if floor is None else ["--disk-floor", repr(floor / GIB)]
    arguments += ["--low-priority"] if config.low_priority else []
    return [*arguments, *(["--start-paused"] if config.start_paused else [])]


def _answering(paths: ServerPaths, pid: int | None = None) -> str | None:
    """One line about the server that answers here; None where none does (yet). `pid`: only that process counts."""
    try:
        with Admin.open(paths, timeout=2.0) as admin:
            connection = admin.connection
            if pid is not None and connection.pid != pid:
                return None
            return (
                f"pgc-server is ready at {connection.host}, ports {connection.ctl_port} and {connection.bulk_port} "
                f"(process {connection.pid}, data in {paths.root})"
            )
    except (NotRunningError, ConfigError):
        return None


def _why_it_ended(paths: ServerPaths, code: int) -> str:
    lines = (paths.logs / "start.stderr").read_text("utf-8", "replace").strip().splitlines()
    last = lines[-1].removeprefix("pgc-server: ") if lines else f"it ended with exit code {code}"
    return f"The server did not start: {last}"
