# SPDX-License-Identifier: Apache-2.0
"""What a warm start changes, on the committed prompts of `pgc eval prompts`: the judge's answers and the time of a run.

    python -m tests.benchmarks.warm_start --work out/warm --out out/warm_start.json [--limit 8] [--cold]

Prompts, meshes and seeds are those of the list. Finished cases are kept in `--work`, and the same command goes on. With
`--cold` each case also runs without a warm start, right after the other; else the answers of `prompts.json` stand
beside them, which are those of an earlier commit.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from pgc.evaluation.cache import ResultCache, environment, file_hash, write_json
from pgc.evaluation.judge.judge import JUDGE_FILE, load_judge
from pgc.evaluation.measures.speckle import chroma_noise_by_scale
from pgc.evaluation.measures.statistics import median, proportion
from pgc.evaluation.meshes import evaluation_mesh
from pgc.evaluation.methods.config import TuningCase
from pgc.evaluation.methods.suite import judged
from pgc.evaluation.pictures import MeshViews
from pgc.evaluation.prompts.prompts import PROMPTS_FILE, PromptCase, load_prompts
from pgc.evaluation.prompts.run import select_cases
from pgc.guidance.base import Guidance
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.mesh import prepare_mesh
from pgc.optimization.config import Prompt
from pgc.runs.prepared import start_optimization
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import RunSettings, resolve

_VIEW = 256


def main() -> None:
    """Runs what is missing, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--cold", action="store_true")
    given = parser.parse_args()
    kinds = {"warm": True, "cold": False} if given.cold else {"warm": True}
    settings = {kind: resolve(RunChoices(warm_start=warm), PocketSpec())[1] for kind, warm in kinds.items()}
    cases = select_cases(load_prompts(), given.limit)
    configuration = {
        "format": 1,
        "settings": asdict(settings["warm"]),
        "prompts": file_hash(PROMPTS_FILE),
        "judge": file_hash(JUDGE_FILE),
    }
    cache = ResultCache(given.work, configuration)
    guidance, judge = load_guidance(PocketSpec(), torch.device("cpu")), load_judge()
    rows: list[dict[str, Any]] = []
    for case in cases:
        row: dict[str, Any] = {"case": asdict(case)}
        for kind, chosen in settings.items():
            part = f"{case.index:03d}-{kind}"
            known = cache.get(part)
            if known is None:
                known = _run(case, chosen, guidance, judge)
                cache.put(part, known)
            row[kind] = known
        rows.append(row)
        write_json(given.out, _summary(rows, configuration, list(settings)))


def _run(case: PromptCase, settings: RunSettings, guidance: Guidance, judge: Any) -> dict[str, Any]:
    """One run: the judge's answers, and processor seconds to its first step, to the end of a warm start, to its end."""
    mesh = prepare_mesh(evaluation_mesh(case.mesh))
    views = MeshViews(mesh.triangles, _VIEW)
    settings = replace(settings, optimize=replace(settings.optimize, seed=case.seed))
    start = time.process_time()
    run = start_optimization(mesh, Prompt(text=case.prompt), settings, guidance)
    seconds: list[float] = []
    for _ in run.steps():
        seconds.append(time.process_time() - start)
    texture = run.scene.texture.bake()
    done = time.process_time() - start
    image = views.render(texture)
    verdict = judge.verdict(image, views.mask)
    tuned = TuningCase(
        index=case.index, prompt=case.prompt, color=case.color, material=case.material, mesh=0, seed=case.seed
    )
    speckle = chroma_noise_by_scale(image, views.mask, (1, 2))
    return {
        "color": verdict.color,
        "material": verdict.material,
        "probability": judged(judge, image, views.mask, tuned),
        "speckle": {str(scale): float(value.mean()) for scale, value in speckle.items()},
        "processor_seconds": {
            "first step": seconds[0],
            "warm start": seconds[settings.optimize.warm_steps - 1] if settings.optimize.warm_steps else None,
            "steps": seconds[-1],
            "finished": done,
        },
    }


def _summary(rows: list[dict[str, Any]], configuration: dict[str, Any], kinds: list[str]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for kind in kinds:
        done = [(row["case"], row[kind]) for row in rows]
        results[kind] = {
            "n": len(done),
            **{
                question: asdict(proportion([one[question] == case[question] for case, one in done]))
                for question in ("color", "material")
            },
            "probability": {
                question: sum(one["probability"][question] for _, one in done) / len(done)
                for question in ("color", "material")
            },
            "speckle_median": median([one["speckle"]["1"] for _, one in done]),
            "processor_seconds_median": {
                name: median([one["processor_seconds"][name] for _, one in done])
                for name in ("first step", "steps", "finished")
            },
        }
    return {"environment": environment(), "configuration": configuration, "results": results, "rows": rows}


if __name__ == "__main__":
    main()
