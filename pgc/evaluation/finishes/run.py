# SPDX-License-Identifier: Apache-2.0
"""The command behind `pgc eval finishes`: settings of a run with three maps, cost first, resumable parts, JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from pgc.evaluation.cache import ResultCache, environment, folder_hash, write_json
from pgc.evaluation.finishes.suite import FinishSuite, finish_cases, summarize_finishes
from pgc.evaluation.measures.statistics import median
from pgc.evaluation.prior_runs import PriorRunRequest, Texturizer
from pgc.guidance.base import LightAware
from pgc.guidance.diffusion.pocket import pocket_weights
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import resolve

__all__ = ["run_finishes"]

_SECONDS_A_RUN = 150.0
"""A guess for the announcement, replaced by the measured median as soon as one run is done."""


def run_finishes(request: PriorRunRequest, report: Callable[[str], None]) -> dict[str, Any]:
    """Runs, or goes on, and writes the results. Returns the summary that the JSON holds."""
    spec = PocketSpec(source=None if request.weights is None else str(request.weights))
    prior, settings = resolve(RunChoices(maps=("base_color", "roughness", "metallic")), spec)
    cases = finish_cases()[: request.limit]
    configuration = {
        "format": 1,
        "settings": asdict(settings),
        "guidance": {**asdict(prior), "source": None},
        "weights": folder_hash(request.weights or pocket_weights()),
    }
    cache = ResultCache(request.work, configuration)
    known = [row["seconds"] for case in cases if (row := cache.get(FinishSuite.part(case))) is not None]
    each = median(known) if known else _SECONDS_A_RUN
    report(
        f"{len(cases)} runs, {len(known)} done before; about {(len(cases) - len(known)) * each / 60.0:.0f} minutes to "
        f"go ({each:.0f} s a run). Parts are kept in {cache.folder}: interrupt at will, the same command goes on."
    )
    guidance = load_guidance(prior, torch.device("cpu"))
    suite = FinishSuite(Texturizer(settings, guidance), cache)
    rows = []
    for case in cases:
        row = suite.score(case)
        means, right = row["means"], "right" if all(row["right"].values()) else "WRONG"
        report(
            f"{case.prompt.text} on {case.mesh}: metallic {means['metallic']:.2f}, roughness {means['roughness']:.2f}, "
            f"{right}, {row['seconds']:.0f} s"
        )
        rows.append(row)
    summary = {
        "environment": environment(),
        "configuration": configuration,
        "configuration_hash": cache.key,
        "light_told": isinstance(guidance, LightAware) and guidance.takes_shading,
        "of_cases": len(finish_cases()),
        "results": summarize_finishes(rows),
        "runs": rows,
    }
    out = request.out or cache.folder / "result.json"
    write_json(out, summary)
    report(f"{sum(all(row['right'].values()) for row in rows)} of {len(rows)} right\n{out}")
    return summary
