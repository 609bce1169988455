# SPDX-License-Identifier: Apache-2.0
"""Warm against cold: the judge's score of a texture while it is made, on eight prompts and four meshes.

    python -m tests.benchmarks.card.score_over_time --work DIR --out FILE [--worlds 32] [--quick]

Every world (a prompt on a mesh) is run twice on one thread, with a warm start and from gray, one after the other. The
texture is looked at every ten steps; the clock counts the run's processor seconds, without looking. Worlds come in an
order in which the first eight have each prompt once and each mesh twice. Finished runs are kept in DIR, and the result
is written after each, so that the command may be stopped and goes on. What it costs is said first.
"""

from __future__ import annotations

import argparse
import bisect
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from pgc.evaluation.cache import ResultCache, environment, file_hash, rounded, write_json
from pgc.evaluation.judge.judge import JUDGE_FILE, Judge, judge_input, load_judge
from pgc.evaluation.measures.statistics import mean_interval
from pgc.evaluation.meshes import evaluation_mesh
from pgc.evaluation.pictures import MeshViews
from pgc.evaluation.prompts.prompts import PROMPTS_FILE, PromptCase, load_prompts
from pgc.evaluation.prompts.run import select_cases
from pgc.guidance.base import Guidance
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.mesh import prepare_mesh
from pgc.optimization.config import Prompt
from pgc.optimization.scene import Scene
from pgc.rendering.compositing import composite
from pgc.rendering.raster.gbuffer import surface_points
from pgc.rendering.shading import unlit
from pgc.runs.prepared import start_optimization
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import RunSettings, resolve

__all__ = ["KINDS", "TIMES", "score_at", "summary", "worlds"]

KINDS: dict[str, bool] = {"warm": True, "cold": False}
TIMES = (5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0)
"""Processor seconds at which curves are compared."""
CLOSE = 0.05
"""Scores nearer than this count as the same."""
_PROMPTS, _EVERY, _VIEW = 8, 10, 128
_SECONDS = {"warm": 45.0, "cold": 85.0}
Curve = Sequence[tuple[float, float, float]]
"""Seconds, and the probability of the colour and of the material that were asked for."""


def worlds() -> tuple[PromptCase, ...]:
    """Returns eight prompts of the list on each of its four meshes."""
    cases = load_prompts()
    meshes = sorted({case.mesh for case in cases})
    chosen = select_cases(cases, _PROMPTS)
    found = []
    for turn in range(len(meshes)):
        for number, case in enumerate(chosen):
            found.append(replace(case, mesh=meshes[(number + turn) % len(meshes)]))
    return tuple(found)


def score_at(curve: Curve, seconds: float) -> float:
    """Returns the mean of both probabilities at the newest look until then; 0 before the first."""
    at = bisect.bisect_right([one[0] for one in curve], seconds)
    return 0.0 if at == 0 else (curve[at - 1][1] + curve[at - 1][2]) / 2.0


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns mean scores at each time, how soon the warm run has the cold one's end, and where it loses."""
    ends = {kind: [score_at(row[kind], float("inf")) for row in rows] for kind in KINDS}
    pairs = list(zip(ends["warm"], ends["cold"], strict=True))
    sooner = [_reaches(row["warm"], cold - CLOSE) for row, (_, cold) in zip(rows, pairs, strict=True)]
    lost = [
        {"prompt": row["prompt"], "mesh": row["mesh"], "warm": warm, "cold": cold}
        for row, (warm, cold) in zip(rows, pairs, strict=True)
        if warm < cold - CLOSE
    ]
    difference = [warm - cold for warm, cold in pairs]
    return {
        "worlds": len(rows),
        "at": {f"{at:g}": {kind: mean(score_at(row[kind], at) for row in rows) for kind in KINDS} for at in TIMES},
        "end": {kind: mean(values) for kind, values in ends.items()},
        "end_s": {kind: mean(row[kind][-1][0] for row in rows) for kind in KINDS},
        "difference": mean_interval(difference),
        "warm_has_cold_end_after_s": sooner,
        "never": sum(one is None for one in sooner),
        "lost": lost,
    }


def _reaches(curve: Curve, score: float) -> float | None:
    return next((at for at, color, material in curve if (color + material) / 2.0 >= score), None)


def _curve(case: PromptCase, settings: RunSettings, guidance: Guidance, judge: Judge, quick: bool) -> Curve:
    mesh = prepare_mesh(evaluation_mesh(case.mesh))
    views, optimize = MeshViews(mesh.triangles, _VIEW), replace(settings.optimize, seed=case.seed)
    begun = time.process_time()
    run = start_optimization(mesh, Prompt(text=case.prompt), replace(settings, optimize=optimize), guidance)
    taken, found = time.process_time() - begun, list[tuple[float, float, float]]()
    steps = iter(run.steps())
    while not quick or run.step < optimize.warm_steps + 1:
        begun = time.process_time()
        more = next(steps, None)
        taken += time.process_time() - begun
        if more is None:
            break
        after = run.step - optimize.warm_steps
        if after == 0 or (after > 0 and after % _EVERY == 0) or quick:
            found.append((taken, *_looked_at(run.scene, views, judge, case)))
    return found


@torch.no_grad()
def _looked_at(scene: Scene, views: MeshViews, judge: Judge, case: PromptCase) -> tuple[float, float]:
    material = scene.texture.sample(surface_points(views.gbuffer))
    picture = unlit(views.gbuffer, material, None)
    background = picture.new_full((len(views.gbuffer), 3, 1, 1), 0.5)
    picture = composite(picture, views.gbuffer.coverage, background)
    colors, materials = judge.probabilities(judge_input(picture, views.mask))
    return (
        float(colors[:, judge.colors.index(case.color)].mean()),
        float(materials[:, judge.materials.index(case.material)].mean()),
    )


def main() -> None:
    """Runs what is missing, and writes the result after each world."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="a folder for what is measured so far")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--worlds", type=int, default=32)
    parser.add_argument("--quick", action="store_true", help="one world, the warm start and a step")
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = {kind: resolve(RunChoices(warm_start=warm), PocketSpec())[1] for kind, warm in KINDS.items()}
    about = {"settings": {kind: asdict(one) for kind, one in settings.items()}, "quick": given.quick}
    about |= {"judge": file_hash(JUDGE_FILE), "prompts": file_hash(PROMPTS_FILE)}
    cache = ResultCache(given.work, about)
    chosen = worlds()[: 1 if given.quick else given.worlds]
    names = {(case, kind): f"{case.index:03d}-{case.mesh}-{kind}" for case in chosen for kind in KINDS}
    left = sum(_SECONDS[kind] for (_, kind), name in names.items() if cache.get(name) is None)
    sys.stderr.write(f"{len(chosen)} worlds; some {left / 60:.0f} minutes of one core to go. Parts: {cache.folder}\n")
    guidance, judge = load_guidance(PocketSpec(), torch.device("cpu")), load_judge()
    rows: list[dict[str, Any]] = []
    for case in chosen:
        row: dict[str, Any] = {"prompt": case.prompt, "mesh": case.mesh}
        for kind, one in settings.items():
            name = names[case, kind]
            part = cache.get(name)
            if part is None:
                part = {"curve": _curve(case, one, guidance, judge, given.quick)}
                cache.put(name, part)
            row[kind] = part["curve"]
        rows.append(row)
        write_json(given.out, rounded({"environment": environment(), **summary(rows), "rows": rows}, 3))


if __name__ == "__main__":
    main()
