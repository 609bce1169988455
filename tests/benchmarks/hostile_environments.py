# SPDX-License-Identifier: Apache-2.0
"""Every command of both programs in environments as people have them: a sentence may come out, never a traceback.

    python -m tests.benchmarks.hostile_environments --work FOLDER [--only WORD …] [--quick] [--out FILE]

Tests run a slice (tests/e2e/test_hostile_environments.py); this runs the whole table and writes the result. Cells that
ran at the same commit are kept in the folder, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pgc.evaluation.cache import ResultCache, write_json
from tests.benchmarks.conditions import Conditions
from tests.benchmarks.hostile_machines import MACHINES, Machine, Place
from tests.warm.popen import warm

__all__ = ["COMMANDS", "Command", "Outcome", "build_place", "run_cell"]

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "tests" / "benchmarks" / "results" / "hostile_environments.json"
_EXIT_CODES = frozenset({0, 1, 2, 130, 141})
_SIGNS_OF_A_BUG = (
    "Traceback (most recent call last)",
    "Exception ignored",
    "Fatal Python error",
    "FATAL ERROR",
    "Aborted",
)
_SECONDS = 240.0
_LIGHT_SECONDS, _HEAVY_SECONDS = 1.5, 9.0


@dataclass(frozen=True)
class Command:
    """A command line; {mesh}, {run}, {data}, {out} stand for places. `heavy`: it imports torch, or runs a job."""

    name: str
    arguments: tuple[str, ...]
    heavy: bool = False


def _command(line: str, *, heavy: bool = False, then: tuple[str, ...] = ()) -> Command:
    words = (*line.split(), *then)
    return Command(" ".join(words), words, heavy)


_TINY = "--steps 1 --no-warm-start --views 1 --resolution 64 --texture-size 64 --no-turntable --preview-size 32"
COMMANDS: tuple[Command, ...] = (
    _command("pgc --help"),
    _command("pgc --version"),
    _command("pgc"),
    _command("pgc texture --help"),
    _command("pgc texture"),
    _command("pgc pair nonsense"),
    _command("pgc pair 127.0.0.1:1:abcdefghijklmnopqrstuvwxyz"),
    _command("pgc export --help"),
    _command("pgc transfer --help"),
    _command("pgc eval"),
    _command("pgc eval oracle --help"),
    _command("pgc demo --server --device mps"),
    _command("pgc nonsense"),
    _command("pgc-server --help"),
    _command("pgc-server start --help"),
    _command("pgc-server start --data {data} --device nonsense"),
    _command("pgc-server start --data {mesh}"),
    _command("pgc-server start --data {mesh} --detach"),
    _command("pgc-server start --data {data} --port {taken}"),
    _command("pgc-server start --data {data} --until-eof"),
    _command("pgc-server stop --data {data}"),
    _command("pgc-server status --data {data}"),
    _command("pgc-server status"),
    _command("pgc-server jobs --data {data} --json"),
    _command("pgc-server logs --data {data}"),
    _command("pgc-server pair"),
    _command("pgc-server pair laptop --key short --data {data}"),
    _command("pgc-server pair laptop --minutes 0 --data {data}"),
    _command("pgc-server models remove ../x --data {data}", heavy=True),
    _command("pgc-server models list --data {data}", heavy=True),
    _command("pgc-server models verify sdxl --data {data}", heavy=True),
    _command("pgc-server doctor --no-job --data {mesh}", heavy=True),
    _command("pgc-server doctor --no-job --json", heavy=True),
    _command("pgc-server doctor --no-job", heavy=True),
    _command("pgc models", heavy=True),
    _command("pgc texture nothing.obj --out {out} --prompt", heavy=True, then=("rot → 红 \U0001f409",)),
    _command("pgc texture {mesh} --out {out} --prompt", heavy=True, then=("bad \udcff text",)),
    _command(f"pgc texture {{mesh}} --out {{out}} {_TINY} --prompt", heavy=True, then=("red \U0001f409",)),
    _command("pgc export {run} --out {out}", heavy=True),
    _command("pgc export {out} --out {out}/x", heavy=True),
    _command("pgc transfer {run} {mesh} --texture-size 64 --out {out}", heavy=True),
)


@dataclass(frozen=True)
class Outcome:
    """What came of a command in an environment. `problem` is empty where it is as it should be."""

    machine: str
    command: str
    code: int
    seconds: float
    problem: str
    last_line: str


def build_place(folder: Path) -> Place:
    """Inputs that all cells read: a mesh, and (made when first asked for) a finished run of it."""
    corners = ("0 0 0", "1 0 0", "0 1 0", "0 0 1")
    faces = ("1 3 2", "1 2 4", "1 4 3", "2 3 4")
    lines = [f"v {corner}" for corner in corners]
    for number in range(4):
        x, y = 0.05 + 0.5 * (number % 2), 0.05 + 0.5 * (number // 2)
        lines += [f"vt {x:.2f} {y:.2f}", f"vt {x + 0.35:.2f} {y:.2f}", f"vt {x:.2f} {y + 0.35:.2f}"]
    for number, face in enumerate(faces):
        lines.append("f " + " ".join(f"{v}/{3 * number + k + 1}" for k, v in enumerate(face.split())))
    mesh = folder / "tetra.obj"
    mesh.write_text("\n".join(lines) + "\n")
    return Place(folder=folder, mesh=mesh, run=folder / "run")


def make_run(place: Place) -> None:
    """The finished run that `pgc export` and `pgc transfer` are given."""
    line = [sys.executable, "-m", "pgc", "texture", str(place.mesh), "--prompt", "red", "--out", str(place.run)]
    with warm():
        subprocess.run([*line, *_TINY.split()], cwd=ROOT, check=True, capture_output=True)


def run_cell(machine: Machine, command: Command, place: Place, number: int, patience: float = _SECONDS) -> Outcome:
    """Run one command in one environment, in folders of its own."""
    cell = place.cell(f"{number:04d}")
    program, *rest = (word.format(**cell.names()) for word in command.arguments)
    module = {"pgc": "pgc", "pgc-server": "server"}[program]
    start = time.monotonic()
    with machine.prepared(cell) as how:
        path = os.pathsep.join([str(ROOT), *filter(None, [how.environment.get("PYTHONPATH")])])
        process = subprocess.Popen(
            [*how.wrapper, sys.executable, "-m", module, *rest],
            stdin=subprocess.DEVNULL,
            stdout=how.stdout,
            stderr=how.stderr,
            env={**how.environment, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            cwd=how.folder,
            preexec_fn=how.before,
        )
        try:
            out, errors = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            out, errors = process.communicate()
            errors = (errors or b"") + b"\nTraceback (most recent call last): none, it hung"
    seconds = time.monotonic() - start
    text, problem = _judged(process.returncode, out or b"", errors or b"", machine)
    last = text.strip().splitlines()[-1][:200] if text.strip() else ""
    return Outcome(machine.name, command.name, process.returncode, round(seconds, 2), problem, last)


def _judged(code: int, out: bytes, errors: bytes, machine: Machine) -> tuple[str, str]:
    """The text that a person would see, and what is wrong with it."""
    try:
        text = out.decode(machine.encoding) + errors.decode(machine.encoding)
    except UnicodeDecodeError as error:
        return repr(errors[-200:]), f"the output is not {machine.encoding}: {error}"
    for sign in _SIGNS_OF_A_BUG:
        if sign in text:
            return text, f"{sign}: {text.strip().splitlines()[-1][:200]}"
    if code not in _EXIT_CODES:
        return text, f"exit code {code}: {text.strip()[-200:]}"
    if code == 2 and not text.strip() and not machine.silent:
        return text, "exit code 2 without a word"
    return text, ""


def run_table(
    words: Sequence[str], weight: str, cache: ResultCache, share: tuple[int, int], patience: float
) -> list[Outcome]:
    """Run, or go on with, all cells whose names hold one of the words (all where there is none), of that weight.

    ``share`` is (which, of how many): processes that run side by side take every n-th cell each.
    """
    with tempfile.TemporaryDirectory(prefix="pgc-hostile-", ignore_cleanup_errors=True) as name:
        place = build_place(Path(name))
        wanted = [command for command in COMMANDS if weight in ("all", "heavy" if command.heavy else "light")]
        cells = [(machine, command) for machine in MACHINES if machine.possible() for command in wanted]
        chosen = [
            (number, machine, command)
            for number, (machine, command) in enumerate(cells)
            if not words or any(word in f"{machine.name}: {command.name}" for word in words)
        ][share[0] :: share[1]]
        missing = [one for one in chosen if cache.get(_part(one[1], one[2])) is None]
        seconds = sum(_HEAVY_SECONDS if command.heavy else _LIGHT_SECONDS for _, _, command in missing)
        _say(f"{len(chosen)} cells, {len(missing)} to run: about {seconds / 60:.0f} minutes. Parts: {cache.folder}")
        if any("{run}" in word for _, _, command in missing for word in command.arguments):
            make_run(place)
        for number, machine, command in missing:
            outcome = run_cell(machine, command, place, number, patience)
            cache.put(_part(machine, command), vars(outcome))
            sign = "ok " if not outcome.problem else "BAD"
            _say(f"{sign} {outcome.machine}: {outcome.command!a}: {outcome.code} {outcome.last_line!a}")
            if outcome.problem:
                _say(f"    {outcome.problem!a}")
        parts = (cache.get(_part(machine, command)) for _, machine, command in chosen)
        return [Outcome(**part) for part in parts if part is not None]


def _part(machine: Machine, command: Command) -> str:
    """A cell's name as a file's."""
    return hashlib.sha256(f"{machine.name}: {command.name!a}".encode()).hexdigest()[:16]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def report_of(outcomes: Sequence[Outcome], conditions: Conditions) -> dict[str, object]:
    """The result file: counts by weight, exit codes, and each bad cell whole."""
    heavy = {command.name for command in COMMANDS if command.heavy}
    codes: dict[str, dict[str, int]] = {}
    for outcome in outcomes:
        codes.setdefault(outcome.command, {})[outcome.machine] = outcome.code
    return {
        "conditions": conditions.as_dict(),
        "cells": len(outcomes),
        "heavy_cells": sum(outcome.command in heavy for outcome in outcomes),
        "light_cells": sum(outcome.command not in heavy for outcome in outcomes),
        "environments": len({outcome.machine for outcome in outcomes}),
        "bad": [vars(outcome) for outcome in outcomes if outcome.problem],
        "skipped_machines": [machine.name for machine in MACHINES if not machine.possible()],
        "exit_codes": codes,
    }


def main() -> int:
    """Run the table; exit code 1 where a cell is bad."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--weight", choices=["light", "heavy", "all"], default="all")
    parser.add_argument("--quick", action="store_true", help="one environment only")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="a cell that takes longer hangs")
    parser.add_argument("--share", type=int, nargs=2, default=(0, 1), metavar=("WHICH", "OF"))
    parser.add_argument("--work", type=Path, required=True, help="folder for the parts, outside the repository")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    conditions = Conditions()
    cache = ResultCache(arguments.work, {"format": 1, "commit": conditions.as_dict()["commit"]})
    only = [f"{MACHINES[0].name}: "] if arguments.quick else arguments.only
    outcomes = run_table(only, arguments.weight, cache, tuple(arguments.share), arguments.seconds)
    report = report_of(outcomes, conditions)
    if arguments.out is not None:
        write_json(arguments.out, report)
    bad = [outcome for outcome in outcomes if outcome.problem]
    _say(f"{len(outcomes)} cells, {len(bad)} bad")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
