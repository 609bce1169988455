# SPDX-License-Identifier: Apache-2.0
"""The part of `pgc shape`, `pgc imagine` and `pgc image` that talks to the server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pgc.commands.texturing.remote import connection_of, key_of, leave_cores_to_server, own_or_named, remote_hooks
from pgc.errors import CheckpointError, ConfigError
from pgc.runs.earlier_run import EarlierRun
from pgc.terminal.failures import EXIT_INTERRUPTED
from pgc.terminal.interrupts import InterruptFlag
from pgc.terminal.progress import RunDisplay, progress_console

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgc.remote.events import JobEvents
    from pgc.remote.following import RemoteHooks
    from pgc.remote.shape_job import ShapeWish

    Then = Callable[[JobEvents, RemoteHooks, RunDisplay], bool]

__all__ = ["ConnectionOption", "Place", "ServerOption", "refuse_there", "run_there", "wished"]

ServerOption = Annotated[
    bool,
    typer.Option("--server", help="Have the server do it; one is started if none runs.", rich_help_panel="Server"),
]
ConnectionOption = Annotated[
    Path | None,
    typer.Option(help="Connection file of another server than your own.", rich_help_panel="Server"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run's files go, and which server does it."""

    out: Path
    resume: bool
    overwrite: bool
    server: bool
    connection: Path | None

    @property
    def is_there(self) -> bool:
        """Whether a server does the work: it is asked for, or the run that is to go on was begun on one."""
        return self.server or self.connection is not None or (self.resume and bool(self.report().get("server")))

    def report(self) -> dict[str, Any]:
        """Returns the report of the run in the folder; empty where there is none."""
        from pgc.runs.report import SHAPE_FORMAT, VOLUME_FORMAT, read_report

        try:
            return read_report(self.out / "run.json", (SHAPE_FORMAT, VOLUME_FORMAT))
        except CheckpointError:
            # Whoever goes on says what is missing, here and there in other words.
            return {}


def refuse_there(given: dict[str, Any], device: str) -> None:
    """Refuses options that no job for a server has.

    Args:
        given: values by option; None and False are no wish, and 0 and "" are.

    Raises:
        ConfigError: one is given.
    """
    if device != "auto":
        raise ConfigError("--device is the server's own; with --server leave it out (pgc-server start --device).")
    names = [name for name, value in given.items() if value is not None and value is not False]
    if names:
        raise ConfigError(f"No server takes {' and '.join(names)} yet; leave it out, or run without --server.")


def wished(
    name: str,
    model: str,
    texts: tuple[str, str],
    numbers: dict[str, int | None],
    shape: dict[str, Any],
    **files: Any,  # noqa: ANN401 - of ShapeWish
) -> ShapeWish:
    """Returns what is asked of a server.

    Args:
        name: of the job; model: a key of the server's.
        texts: prompt and negative prompt.
        numbers: of SettingsSpec; None: the server's choice.
        shape: fields of ShapeSpec.
        files: what else a ShapeWish has.

    Raises:
        ConfigError: a value that no server takes.
    """
    from blender_addon import client as wire
    from pgc.optimization.config import Prompt
    from pgc.remote.shape_job import ShapeWish

    given: dict[str, Any] = {number: value for number, value in numbers.items() if value is not None}
    try:
        return ShapeWish(
            name=name,
            model=model,
            prompt=Prompt(text=texts[0], negative=texts[1]),
            settings=wire.SettingsSpec(**given),
            shape=wire.ShapeSpec(**shape),
            **files,
        )
    except wire.FieldError as error:
        raise ConfigError(f"The server takes no such job ({error}); change that, or run without --server.") from error


def run_there(wish: ShapeWish, kind: Literal["shape", "volume"], place: Place, then: Then | None = None) -> None:
    """Has a server learn a shape, and writes the folder.

    Args:
        kind: what the mesh's files are called.
        then: what is done with the mesh afterwards, on the same connection; returns whether that finished.

    Raises:
        PgcError: it failed; typer.Exit: it was stopped.
    """
    from pgc.remote.shape_job import shape_job
    from pgc.remote.shaper import asked_of, shape_on_server
    from pgc.runs.folder import RunFolder

    console = progress_console()
    console.print("Starting …", highlight=False)
    folder, key, connection = RunFolder(place.out), None, place.connection
    if place.resume:
        if place.overwrite:
            raise ConfigError("--resume goes on with what is in --out and --overwrite replaces it; give one of them.")
        report = _report_of(kind, place)
        key, connection = key_of(report), connection_of(report, connection)
    _check_spared(wish, kind, place.out)
    # What cannot be is told before a folder is claimed, which may move what the wish names.
    job, asked = shape_job(wish), asked_of(wish)
    if not place.resume:
        folder.claim(overwrite=place.overwrite)
    with folder.giving_back(), own_or_named(console, connection) as events:
        if connection is None:
            leave_cores_to_server()
        with InterruptFlag() as interrupt, RunDisplay(console, "Shaping") as display:
            hooks = remote_hooks(display, interrupt)
            was_finished = place.resume and folder.is_finished
            finished = shape_on_server(events, asked, job, kind, folder, hooks, key=key)
            stays = was_finished and not finished
            if finished and then is not None:
                finished = then(events, hooks, display)
        told = f"Stopped; the finished result stays in {place.out}" if stays else _told(place.out, finished=finished)
        console.print(told, highlight=False, markup=False, soft_wrap=True)
        if not finished:
            raise typer.Exit(EXIT_INTERRUPTED)


def _told(out: Path, *, finished: bool) -> str:
    """What came of a run, by its report."""
    from pgc.runs.folder import RunFolder

    folder = RunFolder(out)
    made = [name for name in folder.files_of_report() if "/" not in name]
    if made:
        return f"{'Done' if finished else 'Stopped early'}: {', '.join(made)} and run.json in {out}"
    if EarlierRun(out).is_there:
        return f"Stopped before there was a mesh; the earlier result stays in {out}"
    return f"Stopped before there was a mesh; run.json is in {out}"


def _report_of(kind: Literal["shape", "volume"], place: Place) -> dict[str, Any]:
    """The report of the run that is to go on. Raises ConfigError where it is one of the other kind."""
    from pgc.runs.report import SHAPE_FORMAT, VOLUME_FORMAT

    report = place.report()
    if report.get("format") == (VOLUME_FORMAT if kind == "shape" else SHAPE_FORMAT):
        other = "volume" if kind == "shape" else "shape"
        raise ConfigError(
            f"The run in --out is of a {other} and this one of a {kind}; repeat the command that began it."
        )
    return report


def _check_spared(wish: ShapeWish, kind: Literal["shape", "volume"], out: Path) -> None:
    """Raises ConfigError where the run's files would take the place of one that it begins from."""
    from pgc.shape import outcome as shapes
    from pgc.volume import outcome as volumes

    check = shapes.check_spared if kind == "shape" else volumes.check_spared
    for path in (wish.mesh, wish.picture):
        if path is not None:
            check(path, out)
