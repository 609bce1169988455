# SPDX-License-Identifier: Apache-2.0
"""Damaged images by the hundred thousand: each must give pixels or one sentence, quickly and in bounded memory.

    python -m tests.benchmarks.fuzz_images --cases 100000 --seed 1 --out FILE.json

The reader runs in a process of its own, which may take 1 GiB more than it has after its start (RLIMIT_AS) and 2 s of
processor time a case; it is started anew where it dies. Exit code 1, and the cases, where anything but pixels or a
`TextureError` came out, the process died, or a limit was passed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import OpenImageIO
import PIL
import psutil

from tests.pgc.fuzzing.image_mutations import ImageMutator

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 1 << 30
SECONDS = 2.0
_PATIENCE = 600.0
"""Seconds of wall time without a word: the machine may be busy with other things."""


@dataclass
class Outcome:
    """What came out of all cases so far."""

    answers: Counter[str] = field(default_factory=Counter[str])
    by_suffix: Counter[str] = field(default_factory=Counter[str])
    failures: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    slowest: float = 0.0
    peak_growth: int = 0
    deaths: int = 0

    def fail(self, number: int, what: str) -> None:
        self.answers["failure"] += 1
        self.failures.append({"case": number, "what": what[-2000:]})


def work(pipe: Connection, seed: int, first: int, last: int, memory: int) -> None:
    """In the child: reads cases and tells what came of each."""
    from tests.pgc.fuzzing.image_judge import judge_image

    # libpng writes its complaints to the standard error stream.
    sys.stderr.flush()
    mutator = ImageMutator(seed)
    process = psutil.Process()
    with tempfile.TemporaryDirectory(prefix="pgc-fuzz-") as name:
        for kept in mutator.seeds:
            # Every codec is loaded, and its threads are started, before the limit counts.
            path = Path(name) / f"whole.{kept.suffix}"
            path.write_bytes(kept.data)
            assert judge_image(path) == "read", kept.suffix
        sizes = process.memory_info()
        resource.setrlimit(resource.RLIMIT_AS, (sizes.vms + memory, resource.RLIM_INFINITY))
        for number in range(first, last):
            case = mutator.case(number)
            path = Path(name) / f"case.{case.suffix}"
            path.write_bytes(case.data)
            pipe.send(("begin", number, case.suffix, 0.0, 0))
            used = time.process_time()
            try:
                answer = judge_image(path)
            except BaseException:  # noqa: BLE001 - any of them is what is looked for
                answer = traceback.format_exc()
            used = time.process_time() - used
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - sizes.rss
            pipe.send((answer, number, case.suffix, used, peak))
    pipe.send(("end", last, "", 0.0, 0))


def run(cases: int, seed: int, memory: int = MEMORY, first: int = 0) -> Outcome:
    """Fuzz, and tell what came out."""
    outcome = Outcome()
    number = first
    while number < first + cases:
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        child = multiprocessing.get_context("spawn").Process(
            target=work, args=(theirs, seed, number, first + cases, memory), daemon=True
        )
        child.start()
        theirs.close()
        number = _follow(ours, child, number, outcome)
        if number < first + cases:
            outcome.deaths += 1
    return outcome


def _follow(pipe: Connection, child: Any, number: int, outcome: Outcome) -> int:
    """Takes in what the child tells; returns the number of the next case to begin with."""
    at = number
    try:
        while True:
            if not pipe.poll(_PATIENCE):
                outcome.fail(at, f"no answer within {_PATIENCE} s")
                return at + 1
            answer, at, suffix, used, peak = pipe.recv()
            if answer == "end":
                return at
            if answer == "begin":
                continue
            outcome.slowest = max(outcome.slowest, used)
            outcome.peak_growth = max(outcome.peak_growth, peak)
            if answer not in {"read", "refused"}:
                outcome.fail(at, answer)
            elif used > SECONDS:
                outcome.fail(at, f"{answer} after {used:.1f} s of processor time")
            else:
                outcome.answers[answer] += 1
                outcome.by_suffix[f"{suffix} {answer}"] += 1
    except EOFError:
        child.join()
        outcome.fail(at, f"the process ended with code {child.exitcode}")
        return at + 1
    finally:
        child.kill()
        child.join()


def environment() -> dict[str, Any]:
    """Commit and versions."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": commit,
        "python": platform.python_version(),
        "OpenImageIO": OpenImageIO.VERSION_STRING,
        "pillow": PIL.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case, to repeat one")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    start = time.perf_counter()
    outcome = run(given.cases, given.seed, first=given.first)
    seconds = time.perf_counter() - start
    content = {
        "environment": environment(),
        "cases": given.cases,
        "seed": given.seed,
        "failures": outcome.failures[:50],
        "failure_count": len(outcome.failures),
        "answers": dict(outcome.answers),
        "by_suffix": dict(sorted(outcome.by_suffix.items())),
        "processes_that_died": outcome.deaths,
        "slowest_seconds": round(outcome.slowest, 3),
        "memory_growth_bytes": outcome.peak_growth,
        "memory_limit_bytes": MEMORY,
        "seconds": round(seconds, 1),
    }
    text = json.dumps(content, indent=1) + "\n"
    sys.stdout.write(text)
    if given.out is not None:
        given.out.write_text(text, encoding="utf-8")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
