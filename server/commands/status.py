# SPDX-License-Identifier: Apache-2.0
"""`pgc-server status`, `pgc-server jobs` and `pgc-server logs`: what goes on."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from blender_addon.protocol.messages import (
    Cancel,
    Done,
    JobInfo,
    Message,
    Pause,
    Resume,
    Status,
    StatusReport,
)
from blender_addon.protocol.structure import to_wire
from server.commands.admin import Admin
from server.commands.failures import reports_failures
from server.commands.options import Data, JsonOutput, paths_of
from server.errors import ServerError
from server.storage.quarantine import quarantined

__all__ = ["jobs", "logs", "status"]

_GIB = 1 << 30


@reports_failures
def status(data: Data = None, as_json: JsonOutput = False) -> None:
    """Says how the server is. Exit code 0 where it is ready."""
    paths = paths_of(data)
    with Admin.open(paths) as admin:
        report = admin.ask(Status(), StatusReport)
    aside = quarantined(paths)
    if as_json:
        typer.echo(json.dumps({**to_wire(report), "quarantine": asdict(aside)}, indent=2))
    else:
        for line in _status_lines(report):
            typer.echo(line)
        if aside.files:
            typer.echo(f"aside     {aside.sentence(paths)}")
    if report.state not in ("ready", "starting"):
        raise typer.Exit(1)


def _status_lines(report: StatusReport) -> list[str]:
    installed = [model.key for model in report.models if model.state == "installed"]
    return [
        f"{report.server}: {report.state}, up for {_duration(report.uptime_s)}",
        f"jobs      {report.running} running, {report.queued} waiting",
        f"workers   {report.workers} on {', '.join(report.devices) or 'no device yet'}",
        f"clients   {report.sessions}",
        f"models    {', '.join(installed) or 'none yet'}",
        f"memory    {report.memory / _GIB:.2f} GiB; {_disk(report)}",
    ]


def _disk(report: StatusReport) -> str:
    needed = report.facts.get("disk_needed", 0.0)
    free = f"disk {report.disk_free / _GIB:.1f} GiB free"
    if report.disk_free >= needed:
        return free
    return f"{free}, and nothing new is taken on below {needed / _GIB:.1f} GiB (pgc-server start --disk-floor)"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [f"{value} {unit}" for value, unit in parts if value]
    return " ".join(shown[:2]) or "0 s"


@reports_failures
def jobs(
    data: Data = None,
    as_json: JsonOutput = False,
    cancel: Annotated[str | None, typer.Option(help="End this job.", metavar="JOB")] = None,
    pause: Annotated[
        str | None, typer.Option(help="Hold this job back; one that runs keeps its steps.", metavar="JOB")
    ] = None,
    resume: Annotated[str | None, typer.Option(help="Let a paused job start again.", metavar="JOB")] = None,
    user: Annotated[
        str | None,
        typer.Option(help="List this machine's jobs only, by its name in `pgc-server pair`.", metavar="NAME"),
    ] = None,
) -> None:
    """Lists the jobs of all users, or cancels, pauses or resumes one (the first characters of its id will do)."""
    with Admin.open(paths_of(data)) as admin:
        known = admin.jobs()
        for prefix, kind in ((cancel, Cancel), (pause, Pause), (resume, Resume)):
            if prefix is not None:
                message: Message = kind(_one(known, prefix).job)
                admin.ask(message, Done)
        if cancel or pause or resume:
            known = admin.jobs()
    if user is not None:
        known = tuple(job for job in known if job.owner == user)
    if as_json:
        typer.echo(json.dumps([to_wire(job) for job in known], indent=2))
    elif not known:
        typer.echo("There are no jobs.")
    else:
        Console().print(_table(known))


def _one(known: tuple[JobInfo, ...], prefix: str) -> JobInfo:
    found = [job for job in known if job.job.startswith(prefix)]
    if len(found) != 1:
        raise ServerError(f"{len(found)} jobs begin with {prefix!r}, expected one; `pgc-server jobs` lists them.")
    return found[0]


def _table(known: tuple[JobInfo, ...]) -> Table:
    table = Table("job", "user", "name", "state", "step", "made", "error", box=None, pad_edge=False)
    for job in known:
        state = "paused" if job.paused else str(job.state)
        made = datetime.fromtimestamp(job.created).astimezone().strftime("%Y-%m-%d %H:%M")
        step = f"{job.step} of {job.steps}" if job.steps else ""
        cells = (job.job[:12], job.owner or "", job.name, state, step, made, job.error.text if job.error else "")
        table.add_row(*(_as_it_is(cell) for cell in cells))
    return table


def _as_it_is(text: str) -> Text:
    """Another person's words for this terminal: no markup, and no control sequences."""
    return Text("".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text))


@reports_failures
def logs(
    data: Data = None,
    search: Annotated[str | None, typer.Argument(help="Only lines with this: an error's id, a job.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines.")] = 50,
    as_json: JsonOutput = False,
) -> None:
    """Shows the last lines of the logs of broker, gate and workers, together and in order of time."""
    paths = paths_of(data)
    entries = sorted(_entries(paths.logs), key=lambda entry: entry[0])
    if search is not None:
        entries = [entry for entry in entries if search in entry[1]]
    if not entries:
        raise ServerError(f"There is nothing to show in {paths.logs}.")
    for _time, line in entries[-lines:]:
        typer.echo(line if as_json else _readable(line))


def _entries(folder: Path) -> list[tuple[str, str]]:
    """Time (UTC, ISO 8601: its order is that of the text) and line of every entry."""
    return [
        (str(_parsed(line).get("ts", "")), line)
        for path in sorted(folder.glob("*.jsonl*"))
        for line in path.read_text("utf-8", "replace").splitlines()
    ]


def _parsed(line: str) -> dict[str, Any]:
    """A log line's fields; none where a crash cut it short."""
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _readable(line: str) -> str:
    fields = _parsed(line)
    if "ts" not in fields:
        return line
    when = fields.pop("ts")
    level, text = fields.pop("lvl", ""), fields.pop("msg", "")
    trace = fields.pop("trace", None)
    rest = " ".join(f"{name}={value}" for name, value in fields.items() if name not in ("pid", "ep"))
    return f"{when} {level:<7} {text}  {rest}" + (f"\n{trace}" if trace else "")
