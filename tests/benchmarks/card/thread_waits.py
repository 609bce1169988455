# SPDX-License-Identifier: Apache-2.0
"""How long threads should spin before they sleep: a step of the built-in model with two threads of GNU's OpenMP.

    python -m tests.benchmarks.card.thread_waits --out FILE [--rounds 5] [--steps 4] [--quick]

Each count of looks has a process of its own; all take turns, alone and beside two processes that never rest. One thread
stands beside them, as a measure of the machine. Linux only.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from pgc.evaluation.cache import environment, rounded, write_json
from tests.benchmarks.card.busy_machine import Worker, others

__all__ = ["SPINS", "summary"]

SPINS = (0, 1000, 3000, 5000, 10_000, 300_000)
"""Looks at the other threads; the last is the library's own choice."""
_ONE = "one thread"
Row = Mapping[str, Sequence[Mapping[str, float]]]
"""Of one name: its steps alone, and beside others."""


def summary(rows: Mapping[str, Row]) -> dict[str, dict[str, float]]:
    """Returns medians of wall and processor seconds, and how many times as long a step takes beside others."""
    found = dict[str, dict[str, float]]()
    for name, row in rows.items():
        wall = {case: median(one["wall_s"] for one in steps) for case, steps in row.items()}
        found[name] = {
            "alone_s": wall["alone"],
            "beside_s": wall["beside"],
            "times_as_long": wall["beside"] / wall["alone"],
            "processor_s": median(one["processor_s"] for one in row["alone"]),
        }
    return found


def _measured(rounds: int, steps: int, resolution: int) -> dict[str, dict[str, list[dict[str, float]]]]:
    with ExitStack() as stack:
        workers = {_ONE: Worker(1, resolution)}
        workers |= {str(spin): Worker(2, resolution, {"GOMP_SPINCOUNT": str(spin)}) for spin in SPINS}
        for worker in workers.values():
            stack.callback(worker.close)
        found = {name: {case: list[dict[str, float]]() for case in ("alone", "beside")} for name in workers}
        for _ in range(rounds):
            for case in ("alone", "beside"):
                with others(case == "beside"):
                    for name, worker in workers.items():
                        found[name][case] += worker.steps(steps)
    return found


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="one round of one small step")
    given = parser.parse_args()
    rounds, steps, resolution = (1, 1, 32) if given.quick else (given.rounds, given.steps, 128)
    about = {**environment(), "load_average": list(os.getloadavg())}
    found = summary(_measured(rounds, steps, resolution))
    write_json(given.out, rounded({"environment": about, "steps": rounds * steps, "waits": found}, 4))


if __name__ == "__main__":
    main()
