# SPDX-License-Identifier: Apache-2.0
"""`pgc-server doctor`: is everything there that the server needs? Ends with one tiny job, really run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from server.commands.doctor.checks import run_checks
from server.commands.doctor.findings import Finding, Grade
from server.commands.failures import reports_failures
from server.commands.options import Data, JsonOutput, paths_of
from server.config import Device, ServerPaths

__all__ = ["doctor", "exit_code"]

_TITLES = {
    "python": "Python",
    "torch": "PyTorch and graphics card",
    "rasterizer": "Drawing of views",
    "zmq": "Encrypted connections",
    "rights": "Data folder",
    "port": "Network",
    "transfer": "Transfer speed",
    "journal": "List of jobs",
    "quarantine": "Set aside",
    "disk": "Disk",
    "clock": "Clock",
    "models": "Models",
    "ray": "Ray",
}
"""What people read; in JSON the names stay as they are."""
_SIGNS = {Grade.OK: "ok     ", Grade.WARNING: "warning", Grade.FAILURE: "FAILURE"}


@reports_failures
def doctor(
    data: Data = None,
    as_json: JsonOutput = False,
    job: Annotated[bool, typer.Option("--job/--no-job", help="Run the tiny job at the end.")] = True,
) -> None:
    """Checks this machine, and runs one tiny job. Nothing is kept but compiled kernels in your cache folder.

    Exit code 0: all is well, 1: warnings, 2: something is broken.
    """
    findings: list[Finding] = []
    for finding in _findings(paths_of(data), job):
        findings.append(finding)
        if not as_json:
            typer.echo(_line(finding))
    code = exit_code(findings)
    if as_json:
        report = {"exit_code": code, "findings": [asdict(finding) for finding in findings]}
        typer.echo(json.dumps(report, indent=2))
    else:
        typer.echo(_summary(findings))
    if code:
        raise typer.Exit(code)


def _findings(paths: ServerPaths, job: bool) -> Iterator[Finding]:
    yield from run_checks(paths)
    if not job:
        return
    from server.commands.doctor.job import check_job

    for device in _devices():
        # It takes some seconds, on a slow machine a minute: nobody should think that it hangs.
        typer.echo(f"One tiny job on {device}, really run …", err=True)
        yield check_job(device)


def _devices() -> tuple[Device, ...]:
    try:
        import torch
    except ImportError:
        return ()
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def _line(finding: Finding) -> str:
    hint = f"\n         → {finding.hint}" if finding.hint else ""
    title = _TITLES.get(finding.name, finding.name.capitalize())
    return f"{_SIGNS[finding.grade]}  {title}: {finding.text}{hint}"


def _summary(findings: list[Finding]) -> str:
    failures = sum(finding.grade is Grade.FAILURE for finding in findings)
    warnings = sum(finding.grade is Grade.WARNING for finding in findings)
    if failures:
        count = "One check" if failures == 1 else f"{failures} checks"
        return f"{count} of {len(findings)} failed; the arrow below each says what to do. Then run the doctor again."
    if warnings:
        count = "one warning" if warnings == 1 else f"{warnings} warnings"
        return f"The server can run, with {count}; the arrow below each says what it means."
    return "All is well. Blender starts the server when it needs it; by hand: pgc-server start"


def exit_code(findings: list[Finding]) -> int:
    """Returns 0 where all is well, 1 for warnings, 2 for failures."""
    if any(finding.grade is Grade.FAILURE for finding in findings):
        return 2
    return 1 if any(finding.grade is Grade.WARNING for finding in findings) else 0
