# SPDX-License-Identifier: Apache-2.0
"""Runs what `pgc texture` was told: here, here on several cards, or on a server."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from pgc.commands.export_options import export_config
from pgc.commands.texturing.variations import Variation
from pgc.errors import ConfigError
from pgc.runs.arguments import TextureArguments, arguments_from_report
from pgc.terminal.failures import EXIT_INTERRUPTED
from pgc.terminal.interrupts import InterruptFlag
from pgc.terminal.progress import RunDisplay, progress_console

if TYPE_CHECKING:
    from pgc.optimization.ranks import Ranks
    from pgc.runs.folder import OutputConfig, RunFolder
    from pgc.runs.request import TextureRun
    from pgc.runs.runner import RunOutcome, SharedParts

__all__ = ["Destination", "Server", "run_texture"]


_NO_EXPORT = "A server sends maps of 8 bits; leave the options about export out, and run `pgc export` on the result."


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Who does the work."""

    wanted: bool
    connection: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where results go and how they look; no part of what a resumed run must keep."""

    out: Path
    resume: bool
    overwrite: bool
    may_be_begun: bool
    """Whether what is there decides between the two, or that nothing is to do."""
    preview_size: int
    turntable: bool
    export: tuple[str | None, str | None, str | None, str | None]
    """Image format, engine, normals, models, as they stand on the command line."""

    def outputs(self) -> OutputConfig:
        """Returns the configuration of what the run writes."""
        from pgc.pictures.contact_sheet import PreviewConfig
        from pgc.pictures.turntable import TurntableConfig
        from pgc.runs.folder import OutputConfig

        return OutputConfig(
            preview=PreviewConfig(view_size=self.preview_size),
            turntable=TurntableConfig() if self.turntable else None,
            export=None if self.export == (None,) * 4 else export_config(*self.export),
        )


def run_texture(runs: Sequence[Variation], destination: Destination, server: Server) -> None:
    """Runs what a command line asks for, here or on a server. Runs after the first share its mesh and its prior.

    Raises:
        PgcError: something is missing, damaged or does not fit.
    """
    console = progress_console()
    console.print("Starting …", highlight=False)
    # Torch and diffusers take seconds to import: only now.
    from pgc.runs.arguments import checked_device
    from pgc.runs.folder import RunFolder
    from pgc.runs.ranked.joining import joined_ranks

    if server.wanted and len(runs) > 1 and not destination.may_be_begun:
        _run_several_there(console, runs, destination, server.connection)
        return
    if len(runs) > 1 and not destination.may_be_begun:
        # Told before the first has taken its minutes.
        for run in runs:
            run.given.to_request()
            RunFolder(destination.out / run.name).check_free(overwrite=destination.overwrite)
    with joined_ranks(checked_device(runs[0].given.device or "auto")) as ranks:
        parts: SharedParts | None = None
        for run in runs:
            here = replace(destination, out=destination.out / run.name)
            parts = _run_one(console, run.given, here, server, (ranks, parts)) or parts


def _run_one(
    console: Console,
    given: TextureArguments,
    destination: Destination,
    server: Server,
    beside: tuple[Ranks | None, SharedParts | None],
) -> SharedParts | None:
    """One run, with the parts of another one of the same mesh and prior; returns its own, None where it was not run
    here."""
    from pgc.runs.folder import RunFolder
    from pgc.runs.report import read_report

    folder, (ranks, parts) = RunFolder(destination.out), beside
    if destination.may_be_begun:
        found = _as_begun(folder, given, destination, ranks)
        if found is None:
            console.print(f"Finished already: {folder.path}", highlight=False, markup=False, soft_wrap=True)
            return None
        destination = found
    report = read_report(folder.report) if destination.resume else None
    if not server.wanted and (report is None or not report.get("server")):
        return _run_here(console, folder, given, (destination, report), (ranks, parts))
    if ranks is not None:
        raise ConfigError("torchrun shares out a run of this machine; leave --server out, or torchrun.")
    _run_there(console, folder, given, (destination, report), server.connection)
    return None


def _as_begun(
    folder: RunFolder, given: TextureArguments, destination: Destination, ranks: Ranks | None
) -> Destination | None:
    """What is to be done about the run that is there, or is not; None where it is finished."""
    from pgc.runs.folder import LEFT_BEHIND
    from pgc.runs.report import read_report

    left = folder.left_behind()
    if ranks is not None:
        # The first process may have begun before another one looked.
        left = LEFT_BEHIND[ranks.first_says(LEFT_BEHIND.index(left))]
    if left == "finished":
        arguments_from_report(read_report(folder.report), given)
        return None
    folder.remove_leftovers()
    # A run that was killed before its first checkpoint has written its report.
    return replace(destination, resume=left == "unfinished", overwrite=left == "nothing" and folder.report.is_file())


def _run_there(
    console: Console,
    folder: RunFolder,
    given: TextureArguments,
    what: tuple[Destination, dict[str, Any] | None],
    connection: Path | None,
) -> None:
    from pgc.commands.texturing.remote import run_on_server
    from pgc.remote.job import check_remote_arguments, request_for_server

    destination, report = what
    outputs = destination.outputs()
    check_remote_arguments(given)
    if outputs.export is not None:
        raise ConfigError(_NO_EXPORT)
    if not destination.resume:
        # Bad options first: a folder is claimed for a run that can begin only.
        request = request_for_server(given)
        folder.claim(overwrite=destination.overwrite, spared=request.files())
    with folder.giving_back():
        run_on_server(console, folder, given, outputs, connection=connection, report=report)


def _run_several_there(
    console: Console, runs: Sequence[Variation], destination: Destination, connection: Path | None
) -> None:
    from pgc.commands.texturing.remote import run_several_on_server
    from pgc.remote.job import check_remote_arguments, request_for_server
    from pgc.runs.folder import RunFolder

    outputs = destination.outputs()
    for run in runs:
        check_remote_arguments(run.given)
        request_for_server(run.given)
    if outputs.export is not None:
        raise ConfigError(_NO_EXPORT)
    pairs = [(RunFolder(destination.out / run.name), run.given) for run in runs]
    with ExitStack() as stack:
        for folder, run in pairs:
            folder.claim(overwrite=destination.overwrite, spared=request_for_server(run).files())
            stack.enter_context(folder.giving_back())
        run_several_on_server(console, pairs, outputs, connection=connection)


def _check_export(outputs: OutputConfig, folder: RunFolder) -> None:
    """Refuses an export that cannot be before the minutes of a run."""
    from pgc.export.material import check_export

    if outputs.export is not None:
        check_export(folder.path / "export", outputs.export)


def _run_here(
    console: Console,
    folder: RunFolder,
    given: TextureArguments,
    what: tuple[Destination, dict[str, Any] | None],
    beside: tuple[Ranks | None, SharedParts | None],
) -> SharedParts | None:
    from pgc.runs.ranked.following import follow
    from pgc.runs.runner import RunHooks, SharedParts, texture_mesh

    (destination, report), (ranks, parts) = what, beside
    resume, outputs = destination.resume, destination.outputs()
    _check_export(outputs, folder)
    arguments = given if report is None else arguments_from_report(report, given)
    arguments = replace(arguments, mesh=folder.place_of(arguments.mesh))
    request = arguments.to_request()
    with InterruptFlag() as interrupt:

        def should_stop() -> bool:
            """Says whether Ctrl-C was pressed; of a shared run, in any of its processes."""
            return interrupt.raised if ranks is None else ranks.any(interrupt.raised)

        if ranks is not None and ranks.rank > 0:
            interrupt.arm()
            follow(request, ranks, checkpoint=folder.checkpoint if resume else None, should_stop=should_stop)
            return None
        if not resume:
            folder.claim(overwrite=destination.overwrite, spared=request.files())
        with folder.giving_back(), RunDisplay(console) as display:

            def on_ready(run: TextureRun) -> None:
                """Shows the run's warnings; from then on Ctrl-C stops it and keeps its state."""
                for warning in run.warnings:
                    display.say(f"Note: {warning}")
                # Not before: while things load, there is nothing to keep.
                interrupt.arm()

            hooks = RunHooks(
                progress=display.stage,
                on_ready=on_ready,
                on_note=lambda text: display.say(f"Note: {text}"),
                on_step=display.step,
                should_stop=should_stop,
            )
            shared, told = parts or SharedParts(ranks=ranks), arguments.given()
            outcome = texture_mesh(
                request, folder, arguments=told, resume=resume, outputs=outputs, hooks=hooks, shared=shared
            )
    _say_result(console, folder, outcome)
    if not outcome.finished:
        raise typer.Exit(EXIT_INTERRUPTED)
    run = outcome.run
    if run.plan_number:
        # A prior that was loaded to take less memory is of the run that ran out of it.
        return None
    return SharedParts(guidance=run.guidance, mesh=run.mesh, rasterizer=run.rasterizer, ranks=ranks)


def _say_result(console: Console, folder: RunFolder, outcome: RunOutcome) -> None:
    report = outcome.report
    if outcome.finished:
        text = f"Done in {report.seconds['total']:.0f} s: {', '.join(report.files)} in {folder.path}"
    else:
        command = f"pgc texture --resume --out {shlex.quote(str(folder.path))}"
        text = f"Stopped after step {report.steps_done}; what there is lies in {folder.path}. To go on: {command}"
    console.print(text, highlight=False, markup=False, soft_wrap=True)
