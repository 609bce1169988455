# SPDX-License-Identifier: Apache-2.0
"""The part of `pgc texture` that talks to the server: connect, follow, say what came of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

import pgc
from pgc.errors import ConfigError, PgcError
from pgc.runs.arguments import TextureArguments, arguments_from_report
from pgc.runs.earlier_run import EarlierRun
from pgc.terminal.failures import EXIT_INTERRUPTED
from pgc.terminal.interrupts import InterruptFlag
from pgc.terminal.progress import RunDisplay

if TYPE_CHECKING:
    from blender_addon import client as wire
    from pgc.remote.events import JobEvents
    from pgc.remote.texturizer import RemoteHooks, RemoteOutcome, RemoteRun
    from pgc.runs.folder import OutputConfig, RunFolder

__all__ = [
    "connected_events",
    "connection_of",
    "key_of",
    "leave_cores_to_server",
    "own_or_named",
    "remote_hooks",
    "run_on_server",
    "run_several_on_server",
    "source_root",
]

_PATIENCE_TO_START = 90.0
"""Seconds for a server that is being started: its first start compiles and scans."""
_PATIENCE = 15.0


def source_root() -> Path:
    """Returns the folder that holds the packages: there `python -m server` works in a checkout too."""
    return Path(pgc.__file__).resolve().parent.parent


@contextmanager
def connected_events(console: Console, connection: Path, starter: wire.Starter | None) -> Iterator[JobEvents]:
    """Yields the events of a client of the server that a connection file names; `starter` starts it where it does not
    run."""
    from blender_addon import client as wire
    from pgc.remote.events import JobEvents

    def say(text: str) -> None:
        """Shows a line on the terminal."""
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    config = wire.SessionConfig(client=f"pgc-texture/{pgc.__version__}")
    with wire.Client(connection, starter=starter, config=config) as client:
        yield JobEvents(client, say, _PATIENCE if starter is None else _PATIENCE_TO_START)


@contextmanager
def own_or_named(console: Console, connection: Path | None) -> Iterator[JobEvents]:
    """Yields the events of a client of the user's own server, which is started if need be, or of one that a file names.

    Raises:
        ConfigError: there is no such file.
    """
    from blender_addon import client as wire

    if connection is None:
        starter = wire.ServerStarter(source=source_root())
        with connected_events(console, wire.default_connection_file(), starter) as events:
            events.place = {"connection": None}
            yield events
    elif connection.is_file():
        with connected_events(console, connection, None) as events:
            # Absolute: the run may go on from another folder.
            events.place = {"connection": str(connection.absolute())}
            yield events
    else:
        raise ConfigError(f"There is no connection file {connection}; the server writes one when it starts.")


def leave_cores_to_server() -> None:
    """Draws with half of the cores: the server computes on this machine meanwhile, and more threads than cores make
    both sides wait for each other."""
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // 2))


def remote_hooks(display: RunDisplay, interrupt: InterruptFlag) -> RemoteHooks:
    """Returns hooks that show stages, steps and the first picture on the terminal; Ctrl-C ends the job once the server
    has it."""
    from pgc.remote.texturizer import RemoteHooks

    shown: list[Path] = []

    def on_preview(path: Path) -> None:
        """Shows where the first picture lies."""
        if not shown:
            shown.append(path)
            display.say(f"First picture: {path}")

    return RemoteHooks(
        progress=display.stage,
        say=display.say,
        on_step=display.step,
        on_preview=on_preview,
        on_submitted=interrupt.arm,
        should_stop=lambda: interrupt.raised,
    )


def run_on_server(
    console: Console,
    folder: RunFolder,
    given: TextureArguments,
    outputs: OutputConfig,
    *,
    connection: Path | None,
    report: dict[str, Any] | None,
) -> None:
    """Textures on the server and writes the folder, which must be claimed, unless a report of an earlier run is given.

    Raises:
        PgcError: the run failed; typer.Exit: it was stopped.
    """
    arguments = given if report is None else arguments_from_report(report, given)
    arguments = replace(arguments, mesh=folder.place_of(arguments.mesh))
    key = None if report is None else key_of(report)
    connection = connection if report is None else connection_of(report, connection)
    with own_or_named(console, connection) as events:
        from pgc.remote.texturizer import RemoteTexturizer

        if connection is None:
            leave_cores_to_server()
        texturizer = RemoteTexturizer(events, outputs)
        with InterruptFlag() as interrupt, RunDisplay(console) as display:
            hooks = remote_hooks(display, interrupt)
            run = texturizer.start(arguments, folder, hooks, key=key)
            outcome = texturizer.finish(run, texturizer.follow(run, hooks), hooks)
    console.print(_result_of(folder, outcome), highlight=False, markup=False, soft_wrap=True)
    if not outcome.finished:
        raise typer.Exit(EXIT_INTERRUPTED)


def run_several_on_server(
    console: Console,
    runs: Sequence[tuple[RunFolder, TextureArguments]],
    outputs: OutputConfig,
    *,
    connection: Path | None,
) -> None:
    """Textures one mesh several times on the server: it is read and sent once, and all jobs wait there at once.

    A run that fails does not stop the others. The folders must be claimed.

    Raises:
        PgcError: the first of the failures, once all have ended; typer.Exit: they were stopped.
    """
    with own_or_named(console, connection) as events:
        from pgc.remote.texturizer import RemoteTexturizer

        if connection is None:
            leave_cores_to_server()
        texturizer, failures, finished = RemoteTexturizer(events, outputs), list[PgcError](), True
        with InterruptFlag() as interrupt, RunDisplay(console) as display:
            hooks = remote_hooks(display, interrupt)

            def fails(folder: RunFolder, error: PgcError) -> None:
                """Keeps a failure until all have ended."""
                display.say(f"{folder.path}: {error}")
                failures.append(error)

            started: list[tuple[RunFolder, RemoteRun]] = []
            for folder, arguments in runs:
                try:
                    started.append((folder, texturizer.start(arguments, folder, hooks)))
                except PgcError as error:
                    fails(folder, error)
            for folder, run in started:
                try:
                    outcome = texturizer.finish(run, texturizer.follow(run, hooks), hooks)
                except PgcError as error:
                    fails(folder, error)
                    continue
                finished = finished and outcome.finished
                display.say(_result_of(folder, outcome))
    if failures:
        raise failures[0]
    if not finished:
        raise typer.Exit(EXIT_INTERRUPTED)


def key_of(report: dict[str, Any]) -> str:
    """Returns the key of the job that a run's report tells of.

    Raises:
        ConfigError: it was no run on a server, or one that failed or was cancelled.
    """
    server = report.get("server")
    key = server.get("key") if isinstance(server, dict) else None
    if not isinstance(key, str) or not key:
        raise ConfigError("The run in --out was not a run on a server; resume it without --server.")
    if report.get("state") == "interrupted":
        raise ConfigError("The run in --out was cancelled at the server; start it again with --overwrite.")
    if report.get("state") == "failed":
        raise ConfigError("The run in --out failed at the server; start it again with --overwrite.")
    return key


def connection_of(report: dict[str, Any], given: Path | None) -> Path | None:
    """Returns the connection file of the server that a run goes on at; None: the user's own.

    Args:
        report: of the run. Older ones do not say where it is; then it is where the command says.
        given: after --connection.

    Raises:
        ConfigError: another one than the run's is given; that server does not know the job.
    """
    from blender_addon import client as wire

    server = report.get("server") or {}
    if "connection" not in server:
        return given
    begun = None if server["connection"] is None else Path(server["connection"])
    if given is None:
        return begun
    if (begun or wire.default_connection_file()).resolve() != given.resolve():
        where = "on your own server" if begun is None else f"with --connection {begun}"
        raise ConfigError(f"The run in --out was begun {where}, and {given} is of another server; leave it out.")
    return given


def _result_of(folder: RunFolder, outcome: RemoteOutcome) -> str:
    report = outcome.report
    if outcome.finished:
        return f"Done in {report.seconds['total']:.0f} s: {', '.join(report.files)} in {folder.path}"
    if outcome.stays:
        return f"Stopped; the finished result stays in {folder.path}"
    again = f"pgc texture … --server --overwrite --out {shlex.quote(str(folder.path))}"
    if not report.files and EarlierRun(folder.path).is_there:
        return f"Cancelled before there was a texture; the earlier result stays in {folder.path}. Again: {again}"
    kept = ", ".join(report.files) or "the newest picture, where there was one, lies"
    return f"Cancelled after step {report.steps_done}: {kept} in {folder.path}. Again: {again}"
