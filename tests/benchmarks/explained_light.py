# SPDX-License-Identifier: Apache-2.0
"""What explaining the light away is worth in the material suite, world by world in pairs, and what a step of it costs.

    pgc eval materials --light explained --out explained.json
    cd tests/benchmarks/results
    python -m tests.benchmarks.explained_light explained.json materials-full.json --out explained-light.json

The second takes unknown light from the earlier file where the first has none, keeps the scores of the table, and times
steps with and without, in turns in one process: with the oracle, which costs next to nothing, and with the built-in
prior.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from pgc.evaluation.cache import environment, rounded, write_json
from pgc.evaluation.materials.config import MaterialCase, MaterialSuiteConfig
from pgc.evaluation.materials.suite import MaterialWorld
from pgc.evaluation.measures.statistics import mean_interval
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.optimization.config import Prompt
from pgc.optimization.loop import Optimization

SCORES = (
    "base_color_psnr", "roughness_rmse", "metallic_rmse", "normal_angle", "relit_psnr", "relit_flip",
    "baked_light_std",
)  # fmt: skip
_WARM_UP = 2


def paired(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the scores of worlds that have both settings, their means, and the mean differences with intervals.

    Of a world that several results have with a setting, the first counts."""
    found: dict[tuple[int, str], dict[str, dict[str, float]]] = {}
    for row in (row for result in results for row in result["rows"]):
        world = row["case"]["mesh"], row["case"]["material"]
        found.setdefault(world, {}).setdefault(row["setting"], {score: row[score] for score in SCORES})
    both = {world: each for world, each in found.items() if {"unknown", "explained"} <= each.keys()}
    if not both:
        raise SystemExit(
            "No world was run with both settings; run pgc eval materials --light unknown --light explained."
        )
    return {
        "n": len(both),
        "summary": {
            setting: {score: mean_interval([each[setting][score] for each in both.values()]) for score in SCORES}
            for setting in ("unknown", "explained")
        },
        "differences": {
            score: mean_interval([each["explained"][score] - each["unknown"][score] for each in both.values()])
            for score in SCORES
        },
        "rows": [
            {"mesh": mesh, "material": material, **{name: each[name] for name in ("unknown", "explained")}}
            for (mesh, material), each in both.items()
        ],
    }


def _runs(prior: str) -> dict[str, Optimization]:
    config = MaterialSuiteConfig()
    views, side = (config.views, config.resolution) if prior == "oracle" else (4, 128)
    world = MaterialWorld.build(replace(config, views=views, resolution=side), 1, "gilded_ceramic")
    runs = {}
    for light in ("unknown", "explained"):
        run = world.optimization(MaterialCase(mesh=1, material="gilded_ceramic", light=light))
        if prior != "oracle":
            guidance = load_guidance(PocketSpec(), torch.device("cpu"))
            run = Optimization(replace(run.scene, reference=None), guidance, Prompt(text="gold brick"), run.config)
        runs[light] = run
    return runs


def cost(prior: str, steps: int) -> dict[str, Any]:
    """Times steps with and without in turns; processor seconds, their medians, and the ratio of these."""
    runs, seconds = _runs(prior), {"unknown": [], "explained": []}
    for step in range(_WARM_UP + steps):
        for light, run in runs.items():
            start = time.process_time()
            run.advance()
            if step >= _WARM_UP:
                seconds[light].append(time.process_time() - start)
    medians = {light: median(each) for light, each in seconds.items()}
    return {
        "steps": steps,
        "views": runs["unknown"].config.views,
        "resolution": runs["unknown"].config.resolution,
        "processor_seconds": medians,
        "ratio": medians["explained"] / medians["unknown"],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the suite's result, times steps, and writes both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=8)
    given = parser.parse_args(arguments)
    results = [json.loads(path.read_text(encoding="utf-8")) for path in given.suites]
    torch.set_num_threads(1)
    suite = results[0]["configuration"]["suite"]
    content = {
        "environment": environment(),
        "suite": {name: suite[name] for name in ("seed", "steps", "views", "resolution", "explained_light")},
        "configuration_hashes": [result["configuration_hash"] for result in results],
        **paired(results),
        "cost": {prior: cost(prior, given.steps) for prior in ("oracle", "pocket")},
    }
    write_json(given.out, rounded(content, 4))
    sys.stdout.write(f"{given.out}: {content['n']} worlds\n")


if __name__ == "__main__":
    main()
