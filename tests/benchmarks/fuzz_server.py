# SPDX-License-Identifier: Apache-2.0
"""Damaged input for the server by the hundred thousand: messages, job specifications, journals, checkpoints, blobs and
the small files of the data folder.

    python -m tests.benchmarks.fuzz_server --seed 1 --out FILE.json
    python -m tests.benchmarks.fuzz_server --only journals --cases 1000 --first 4711

Each target runs in a child process that may use 256 MiB more than it has at its start. A case may take two seconds of
the processor; where one hangs, even inside a library, the child dies and the next one starts after it. With `--out`
that exists already, what is in it counts, and the run goes on after it. Exit code 1 where any case failed.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import logging
import mmap
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from tests.server.fuzzing.judge import Judge, Target

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 256 << 20
SLOWEST = 2.0
HANG = 20.0
"""Seconds of the processor for a round of cases, after which the child is stopped."""
WARM_UP = 5
ROUND = 5
CHUNK = 500
"""Cases after which what was found is on the disk."""
MOST_KEPT = 100

Name = Literal["conversations", "specs", "journals", "checkpoints", "blobs", "small_files"]
CASES: dict[Name, int] = {
    "conversations": 7000,
    "specs": 40_000,
    "journals": 3_000,
    "checkpoints": 5_000,
    "blobs": 400,
    "small_files": 20_000,
}
"""Half a million together: a conversation is 60 messages, a story of blobs 30 steps."""


def target(name: Name, folder: Path, seed: int) -> Target:
    """A fuzzer, at work in a folder. Only what it needs is imported, since memory counts."""
    match name:
        case "conversations":
            from tests.server.fuzzing.conversations import Conversations

            return Conversations(folder, seed)
        case "specs":
            from tests.server.fuzzing.specs import Specs

            return Specs(folder, seed)
        case "journals":
            from tests.server.fuzzing.journals import Journals

            return Journals(folder, seed)
        case "checkpoints":
            from tests.server.fuzzing.checkpoints import Checkpoints

            return Checkpoints(folder, seed)
        case "blobs":
            from tests.server.fuzzing.blobs import Blobs

            return Blobs(folder, seed)
        case "small_files":
            from tests.server.fuzzing.small_files import SmallFiles

            return SmallFiles(folder, seed)


def child(name: Name, first: int, last: int, seed: int, folder: Path) -> None:
    """Runs cases first..last-1; writes where it is to folder/at, and what it found to folder/found.json."""
    work = folder / "work"
    work.mkdir()
    logging.getLogger("server").setLevel(logging.CRITICAL)
    fuzzed = target(name, work, seed)
    judge = Judge(fuzzed, limit=60.0)
    for number in range(WARM_UP):
        # Everything is imported and warm before memory is counted.
        judge.look(number)
    judge = Judge(fuzzed, limit=SLOWEST)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    # Ends the process, after it has said where it was, also while a library works and no Python runs.
    faulthandler.register(signal.SIGPROF, chain=True)
    (folder / "at").write_bytes(b"%-20d" % first)
    with (folder / "at").open("r+b") as file:
        place = mmap.mmap(file.fileno(), 20)
    for number in range(first, last):
        place[:] = b"%-20d" % number
        if (number - first) % ROUND == 0:
            signal.setitimer(signal.ITIMER_PROF, HANG)
        judge.look(number)
    signal.setitimer(signal.ITIMER_PROF, 0.0)
    _write(folder / "found.json", _found(judge))
    fuzzed.close()


def _found(judge: Judge) -> dict[str, Any]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "parts": judge.parts,
        "outcomes": dict(judge.outcomes),
        "failures": judge.failures,
        "slowest": judge.slowest,
        "peak": peak,
    }


def _write(path: Path, content: object) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(fresh, path)


class Tally:
    """What one target gave so far."""

    def __init__(self, seed: int, stored: dict[str, Any] | None = None) -> None:
        self.content: dict[str, Any] = stored or {
            "seed": seed, "cases": 0, "parts": 0, "outcomes": {}, "failures": [], "failure_count": 0,
            "children_that_died": 0, "slowest_ms": 0.0, "largest_process_bytes": 0, "memory_limit_bytes": MEMORY,
            "seconds": 0.0, "commits": [],
        }  # fmt: skip

    def add(self, cases: int, found: dict[str, Any], seconds: float) -> None:
        """Takes in what a child found in so many cases."""
        content = self.content
        content["cases"] += cases
        content["parts"] += found["parts"]
        content["outcomes"] = dict(sorted((Counter(content["outcomes"]) + Counter(found["outcomes"])).items()))
        content["failure_count"] += len(found["failures"])
        content["failures"] = (content["failures"] + found["failures"])[:MOST_KEPT]
        content["slowest_ms"] = max(content["slowest_ms"], round(1000 * found["slowest"], 1))
        content["largest_process_bytes"] = max(content["largest_process_bytes"], found["peak"])
        content["seconds"] = round(content["seconds"] + seconds, 1)
        if commit() not in content["commits"]:
            content["commits"].append(commit())

    def died(self, number: int, what: str) -> None:
        """A child ended in a case."""
        self.content["children_that_died"] += 1
        self.add(1, {**_NOTHING, "parts": 1, "failures": [{"case": number, "what": what}]}, 0.0)


_NOTHING: dict[str, Any] = {"parts": 0, "outcomes": {}, "failures": [], "slowest": 0.0, "peak": 0}


def run(name: Name, cases: int, tally: Tally, first: int = 0, say: Any = lambda: None) -> None:
    """Runs cases of one target in children, chunk by chunk. `say` is called after each."""
    at, last = first, first + cases
    seed = tally.content["seed"]
    while at < last:
        end = min(at + CHUNK, last)
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="pgc-fuzz-", dir=_memory_folder()) as folder:
            code, message = _child(name, at, end, seed, Path(folder))
            stored, reached = Path(folder, "found.json"), Path(folder, "at")
            seconds = time.perf_counter() - started
            if code == 0:
                tally.add(end - at, json.loads(stored.read_text()), seconds)
                at = end
            else:
                stopped = int(reached.read_text()) if reached.is_file() else at
                # What came before it in this chunk is run once more, without the case that ended the child.
                if stopped > at:
                    run(name, stopped - at, tally, at)
                tally.died(stopped, f"the process ended with code {code}: {message}")
                at = stopped + 1
        say()


def _memory_folder() -> str | None:
    """A folder in memory where there is one: a disk would be asked to flush for each case."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _child(name: Name, first: int, last: int, seed: int, folder: Path) -> tuple[int, str]:
    """Exit code and the last words of a child."""
    command = [sys.executable, "-m", "tests.benchmarks.fuzz_server", "--child", name, str(first), str(last), str(seed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(folder)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    lines = [line.strip() for line in done.stderr.strip().splitlines() if line.strip()]
    return done.returncode, " | ".join(lines[-14:])[:900]


def commit() -> str | None:
    """The commit of this checkout."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or None


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", choices=get_args(Name))
    parser.add_argument("--cases", type=int, help="of each target; by default half a million together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case, to repeat one")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    options = _options(arguments)
    if options.child is not None:
        name, *numbers, folder = options.child
        first, last, seed = map(int, numbers)
        child(name, first, last, seed, Path(folder))
        return 0
    stored = json.loads(options.out.read_text()) if options.out is not None and options.out.is_file() else {}
    result: dict[str, Any] = {"python": sys.version.split()[0], "targets": {}, **stored}

    def say() -> None:
        parts = [item["parts"] for item in result["targets"].values()]
        result["cases_together"] = sum(parts)
        earlier = sum(item["cases"] for item in result.get("earlier_runs", ()))
        result["cases_with_earlier_runs"] = sum(parts) + earlier
        result["failures_together"] = sum(item["failure_count"] for item in result["targets"].values())
        if options.out is not None:
            _write(options.out, result)

    for name in (options.only,) if options.only else get_args(Name):
        tally = Tally(options.seed, result["targets"].get(name))
        result["targets"][name] = tally.content
        done = tally.content["cases"]
        wanted = options.cases if options.cases is not None else CASES[name]
        run(name, max(0, wanted - done), tally, options.first + done, say)
        say()
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    return int(result["failures_together"] > 0)


if __name__ == "__main__":
    sys.exit(main())
