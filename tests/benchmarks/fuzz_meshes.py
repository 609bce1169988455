# SPDX-License-Identifier: Apache-2.0
"""Damaged mesh files by the hundred thousand: each is read, or refused by one sentence, soon and in bounded memory.

    python -m tests.benchmarks.fuzz_meshes --cases 100000 --seed 1 --out FILE.json

Cases run in a child process that may use 1 GiB more than it has at its start. A case may take two seconds of the
processor; where one hangs, even inside a library, the child dies and the next starts after it. Exit code 1 where any
case failed.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
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
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 1 << 30
SLOWEST = 2.0
HANG = 6.0
"""Seconds of the processor for a round of cases, after which it is stopped; a case above `SLOWEST` has failed too."""
WARM_UP = 20
ROUND = 25
MOST_KEPT = 200


def child(first: int, last: int, seed: int, folder: Path) -> None:
    """Runs cases first..last-1; writes where it is to folder/at, and what it found to folder/found.json."""
    from tests.pgc.fuzzing.mesh_mutations import Judge, case
    from tests.pgc.fuzzing.mesh_seeds import seeds

    seeds()
    judge = Judge(folder, limit=SLOWEST)
    for number in range(WARM_UP):
        # Everything is imported and warm before memory is counted.
        judge.look(number, *case(seed, number))
    judge = Judge(folder, limit=SLOWEST)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    # Ends the process, after it has said where it was, also while a library works and no Python runs.
    faulthandler.register(signal.SIGPROF, chain=True)
    (folder / "at").write_bytes(b"%-20d" % first)
    # Calls of the system cost more than most cases do: the place is in shared memory, the timer is for several.
    with (folder / "at").open("r+b") as file:
        place = mmap.mmap(file.fileno(), 20)
    for number in range(first, last):
        place[:] = b"%-20d" % number
        suffix, data = case(seed, number)
        if (number - first) % ROUND == 0:
            signal.setitimer(signal.ITIMER_PROF, HANG)
        judge.look(number, suffix, data)
        if (number + 1) % 1000 == 0 or number + 1 == last:
            _store(folder, number + 1, judge)
    signal.setitimer(signal.ITIMER_PROF, 0.0)


def _store(folder: Path, done: int, judge: Any) -> None:
    found = {"done": done, "outcomes": dict(judge.outcomes), "failures": judge.failures, "slowest": judge.slowest}
    (folder / "new.json").write_text(json.dumps(found))
    os.replace(folder / "new.json", folder / "found.json")


def run(cases: int, seed: int, first: int = 0) -> dict[str, Any]:
    """Fuzzes, and tells what came out."""
    outcomes: Counter[str] = Counter()
    failures: list[dict[str, Any]] = []
    slowest, started, at, last = 0.0, time.perf_counter(), first, first + cases
    while at < last:
        with tempfile.TemporaryDirectory(prefix="pgc-fuzz-") as name:
            folder = Path(name)
            code, message = _child(at, last, seed, folder)
            stored = folder / "found.json"
            found = json.loads(stored.read_text()) if stored.is_file() else None
            if found is not None:
                outcomes.update(found["outcomes"])
                failures += found["failures"]
                slowest = max(slowest, found["slowest"])
            reached = int((folder / "at").read_text()) if (folder / "at").is_file() else at
        if code == 0:
            break
        done = at if found is None else found["done"]
        if done < reached:
            # What the dead child had not stored: once more, up to the case that killed it.
            before = run(reached - done, seed, done)
            outcomes.update(before["outcomes"])
            failures += before["failures"]
        failures.append({"case": reached, "what": f"the process ended with code {code}: {message}"})
        outcomes["died"] += 1
        at = reached + 1
    seconds = time.perf_counter() - started
    return {
        "cases": cases,
        "seed": seed,
        "outcomes": dict(sorted(outcomes.items())),
        "failures": failures[:MOST_KEPT],
        "failure_count": len(failures),
        "slowest_ms": round(1000 * slowest, 1),
        "cases_per_second": round(cases / seconds),
        "memory_limit_bytes": MEMORY,
        "seconds": round(seconds, 1),
    }


def _child(first: int, last: int, seed: int, folder: Path) -> tuple[int, str]:
    """Exit code and the last words of a child."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.fuzz_meshes",
        "--child",
        str(first),
        str(last),
        str(seed),
        str(folder),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    lines = [line.strip() for line in done.stderr.strip().splitlines() if line.strip()]
    return done.returncode, " | ".join(lines[:14])[:900]


def commit() -> str | None:
    """The commit of this checkout."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child is not None:
        first, last, seed = map(int, options.child[:3])
        child(first, last, seed, Path(options.child[3]))
        return 0
    result = {"commit": commit(), "python": sys.version.split()[0], **run(options.cases, options.seed, options.first)}
    text = json.dumps(result, indent=1) + "\n"
    if options.out is not None:
        options.out.write_text(text)
    sys.stdout.write(text)
    return int(result["failure_count"] > 0)


if __name__ == "__main__":
    sys.exit(main())
