# SPDX-License-Identifier: Apache-2.0
"""Damaged messages by the million: the codec must answer each with a typed error, quickly and in bounded memory.

    python tests/benchmarks/fuzz_protocol.py --cases 1000000 --seed 1 --out FILE.json

Mutated headers and frames of every message; a case whose answer is a new one joins the corpus. Exit code 1, and the
cases, where anything but a message or a `ProtocolError` came out, an error could not be sent back, or memory grew by
more than 64 MiB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgpack
import psutil

from tests.blender_addon.protocol.mutations import Judge, Mutator

ROOT = Path(__file__).resolve().parents[2]
CALIBRATION = 2_000
WARM_UP = 20_000
LOOK_EVERY = 5_000
LARGEST_GROWTH = 64 << 20
SLOWEST = 2.0


def run(cases: int, seed: int) -> dict[str, Any]:
    """Fuzz, and tell what came out. Memory counts from the end of the warm-up, when the corpus has its size."""
    mutator, judge = Mutator(seed), Judge()
    process = psutil.Process()
    resident = peak = process.memory_info().rss
    started = time.perf_counter()
    for done in range(1, cases + 1):
        case = mutator.case()
        if judge.look(case):
            mutator.keep(case)
        if done == CALIBRATION:
            rate = done / (time.perf_counter() - started)
            sys.stdout.write(f"{cases} cases at about {rate:.0f} a second: {cases / rate / 60:.1f} minutes\n")
            sys.stdout.flush()
        if done == min(WARM_UP, cases):
            resident = peak = process.memory_info().rss
        if done % LOOK_EVERY == 0:
            peak = max(peak, process.memory_info().rss)
    seconds = time.perf_counter() - started
    return {
        "cases": cases,
        "seed": seed,
        "failures": judge.failures,
        "outcomes": dict(judge.outcomes.most_common()),
        "different_answers": len(judge.seen),
        "corpus": mutator.size,
        "slowest_ms": round(1000 * judge.slowest, 3),
        "cases_per_second": round(cases / seconds),
        "seconds": round(seconds, 1),
        "memory_growth_bytes": max(0, peak - resident),
        "memory_growth_limit_bytes": LARGEST_GROWTH,
    }


def environment() -> dict[str, Any]:
    """Commit, versions and hardware; no torch is needed for this."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    processor = platform.processor()
    if Path("/proc/cpuinfo").is_file():
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    return {
        "commit": commit or None,
        "python": platform.python_version(),
        "msgpack": ".".join(map(str, msgpack.version)),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor,
        "cores": os.cpu_count(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    result = {"environment": environment(), **run(options.cases, options.seed)}
    text = json.dumps(result, indent=1) + "\n"
    if options.out is not None:
        options.out.write_text(text)
    sys.stdout.write(text)
    grown = result["memory_growth_bytes"] > LARGEST_GROWTH
    return int(bool(result["failures"]) or grown or result["slowest_ms"] > 1000 * SLOWEST)


if __name__ == "__main__":
    sys.exit(main())
