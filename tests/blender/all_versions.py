# SPDX-License-Identifier: Apache-2.0
"""Runs the Blender tests on every version at hand, and says which ran.

    python -m tests.blender.all_versions             # on what is there
    python -m tests.blender.all_versions --install   # first makes what can be made of .venv-bpy/VERSION with pip
    python -m tests.blender.all_versions --table F   # also writes what ran to F, beside what F says of other versions

At hand are: this Python if it has bpy, the Pythons in .venv-bpy, those that PGC_BPY_PYTHONS names, and the Blender
programs that BLENDER_BINS names (both separated as PATH is). pip's bpy runs all tests; a program runs those of the
built zip, since the others import the add-on from the repository and need its wheels in that Python.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.blender.blender_process import ROOT, BlenderProcess
from tests.blender.install_bpy import FOLDER, install_all, python_in

__all__ = ["Found", "Result", "find", "main"]

_ASK = "import bpy; print('@' + bpy.app.version_string)"
_LIMIT = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A Blender that can be tested."""

    blender: BlenderProcess
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How the tests went on one version; `line` is pytest's closing line, `failed` the tests that it names."""

    found: Found
    passed: bool
    line: str
    seconds: float
    failed: tuple[str, ...] = ()


def version_of(blender: BlenderProcess) -> str | None:
    """Blender's version, such as "4.2.23"; None where it does not start or has no bpy."""
    command = [blender.program, "-c", _ASK] if blender.is_module else [blender.program, "--version"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"^(?:@|Blender )(\S+)", said, re.MULTILINE)
    return match[1] if match else None


def find(environment: Mapping[str, str], folder: Path = FOLDER) -> list[Found]:
    """All that can be tested, the oldest first; a version that pip's bpy has more than once counts once."""
    pythons = [sys.executable, *filter(None, environment.get("PGC_BPY_PYTHONS", "").split(os.pathsep))]
    pythons += [str(python) for one in sorted(folder.glob("*")) if (python := python_in(one)).exists()]
    candidates = [BlenderProcess(program=python, is_module=True) for python in pythons]
    programs = filter(None, environment.get("BLENDER_BINS", "").split(os.pathsep))
    candidates += [BlenderProcess(program=program, is_module=False) for program in programs]
    found: dict[tuple[str, bool], Found] = {}
    for blender in candidates:
        version = version_of(blender)
        if version is not None:
            found.setdefault((version, blender.is_module), Found(blender=blender, version=version))
        elif not blender.is_module or blender.program != sys.executable:
            _say(f"Not tested: {blender} does not start, or has no bpy.")
    return sorted(found.values(), key=lambda one: (_numbers(one.version), not one.blender.is_module))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def test(found: Found, options: Sequence[str]) -> Result:
    """Run the tests on one version, in a process of its own."""
    tests = ["tests/blender"] if found.blender.is_module else ["tests/blender/program/test_installed.py"]
    environment = {key: value for key, value in os.environ.items() if key not in {"BLENDER_BIN", "PGC_BPY_PYTHON"}}
    environment["PGC_BPY_PYTHON" if found.blender.is_module else "BLENDER_BIN"] = found.blender.program
    command = [sys.executable, "-m", "pytest", "-q", *tests, *options]
    begin = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, timeout=_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return Result(found=found, passed=False, line=f"not done after {_LIMIT:.0f} s", seconds=_LIMIT)
    if done.returncode:
        _say(done.stdout)
    line = (done.stdout.strip().splitlines() or ["pytest said nothing"])[-1]
    failed = tuple(re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.MULTILINE))
    seconds = time.monotonic() - begin
    return Result(found=found, passed=done.returncode == 0, line=line, seconds=seconds, failed=failed)


def row(result: Result, commit: str) -> dict[str, Any]:
    """What the table says of a version: pytest's counts, the tests that failed, and the commit."""
    counts = {kind: int(number) for number, kind in re.findall(r"(\d+) (passed|skipped|failed|error)", result.line)}
    return {
        "kind": "bpy" if result.found.blender.is_module else "program",
        "passed": counts.get("passed", 0),
        "skipped": counts.get("skipped", 0),
        "failed": counts.get("failed", 0) + counts.get("error", 0),
        "failed_tests": list(result.failed),
        "closing_line": result.line,
        "seconds": round(result.seconds),
        "commit": commit,
    }


def write_table(path: Path, results: Sequence[Result], commit: str) -> None:
    """Put the results into the table, which is made where there is none; other versions' rows stay."""
    table = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    table |= {result.found.version: row(result, commit) for result in results}
    ordered = dict(sorted(table.items(), key=lambda item: _numbers(item[0])))
    path.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")


def _commit() -> str:
    """Of the repository; with a mark where the add-on or its tests have changes that are not committed."""
    described = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--", "blender_addon", "tests/blender", "build_addon.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return f"{described} and changes" if changed else described


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where all passed, 1 where one failed, 2 where there was no Blender at all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", action="store_true", help="make .venv-bpy/VERSION where pip can")
    parser.add_argument("--table", type=Path, help="JSON file that gets a row for each version")
    parser.add_argument("--list", action="store_true", help="only say what would be tested")
    given, options = parser.parse_known_args(arguments)
    if given.install:
        install_all()
    every = find(os.environ)
    _say("\n".join(["Blender at hand:", *(f"  {one.version}  {one.blender}" for one in every)]) if every else "")
    if not every:
        _say("No Blender at hand; --install makes some, or set PGC_BPY_PYTHONS or BLENDER_BINS.")
        return 2
    if given.list:
        return 0
    commit = _commit()
    results = [test(one, options) for one in every]
    if given.table is not None:
        write_table(given.table, results, commit)
    for result in results:
        verdict = "passed" if result.passed else "FAILED"
        kind = "bpy" if result.found.blender.is_module else "Blender"
        _say(f"{kind} {result.found.version}: {verdict} in {result.seconds:.0f} s: {result.line}")
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
