# SPDX-License-Identifier: Apache-2.0
"""What each loss, and each schedule of noise, makes of the same beginning: the built-in model, on meshes that training
never saw.

    python -m tests.benchmarks.losses --out tests/benchmarks/results/losses.json
    python -m tests.benchmarks.losses --compare schedules --out tests/benchmarks/results/schedules.json

Each loss with its own settings for this model (`--loss NAME`), or its own loss under each `--timesteps NAME`; PGC at
the preset's threshold, 24 steps after one warm start a seed, which all share; beside them what the warm start alone is
worth. It goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from pgc.demo.config import DemoConfig
from pgc.evaluation.cache import ResultCache, environment, file_hash, folder_hash, rounded, write_json
from pgc.evaluation.judge.judge import JUDGE_FILE, load_judge
from pgc.evaluation.measures.statistics import mean_interval, median
from pgc.evaluation.methods.config import Method
from pgc.evaluation.methods.suite import MethodSuite
from pgc.evaluation.methods.sweep import SweepConfig
from pgc.guidance.diffusion.pocket import pocket_weights
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import resolve

LOSSES = ("hifa", "sds", "csd", "ssd", "bgt", "ism")
"""All but sdi, whose step takes eleven calls, vsd, whose network learns over thousands of steps, and rfds, which is for
flow models."""
SCHEDULES = ("uniform", "linear", "square_root", "dreamtime")
_SCORES = ("color", "material", "speckle", "seconds")


def methods(compare: str, steps: int) -> list[Method]:
    """Returns a method for each loss or schedule, and one that takes a single step at a learning rate of nearly
    nothing."""
    varied = {"losses": ("distillation", LOSSES), "schedules": ("timesteps", SCHEDULES)}
    field, names = varied[compare]
    same: dict[str, Any] = {"steps": steps, "warm_start": True}
    found = [
        Method(name=name, optimize=resolve(RunChoices(**{field: name}, **same), PocketSpec())[1].optimize)
        for name in names
    ]
    still = replace(found[0].optimize, steps=1, learning_rate=1e-9)
    return [*found, Method(name="warm-start-alone", optimize=still)]


def main() -> None:
    """Runs what is missing, and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--compare", choices=("losses", "schedules"), default="losses")
    parser.add_argument("--prompts", type=int, default=2, help="how many, each with a mesh of its own and three seeds")
    parser.add_argument("--work", type=Path, default=Path("out/eval/losses"))
    given = parser.parse_args()
    config = replace(SweepConfig(), scored_on=given.prompts)
    spec, settings = DemoConfig().resolved()
    compared = methods(given.compare, config.steps)
    cache = ResultCache(
        given.work,
        {
            "methods": {one.name: one.optimize.fingerprint() for one in compared},
            "settings": asdict(settings),
            "weights": folder_hash(pocket_weights()),
            "judge": file_hash(JUDGE_FILE),
        },
    )
    suite = MethodSuite(settings, load_guidance(spec, torch.device("cpu")), load_judge(), cache)
    rows: dict[str, list[dict[str, Any]]] = {one.name: [] for one in compared}
    for case in config.scored():
        for one in compared:
            rows[one.name].append(suite.score(one, case))
            sys.stdout.write(f"{rows[one.name][-1]['name']}: {[rows[one.name][-1][name] for name in _SCORES]}\n")
            sys.stdout.flush()
    result = {
        "environment": environment(),
        "prompts": sorted({case.prompt for case in config.scored()}),
        "steps": config.steps,
        "n": len(config.scored()),
        given.compare: {
            name: {
                **{score: mean_interval([row[score] for row in each]) for score in _SCORES[:3]},
                "seconds_median": median([row["seconds"] for row in each]),
                "clipped_fraction": mean_interval([row["regulation"]["clipped_fraction"] for row in each]),
            }
            for name, each in rows.items()
        },
    }
    write_json(given.out, rounded(result, 5))


if __name__ == "__main__":
    main()
