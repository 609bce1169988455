# SPDX-License-Identifier: Apache-2.0
"""How much of a texture another prompt changes at each strength: the judge's agreement with the old prompt and with the
new one (`pgc texture --init-texture … --strength S`, *Start with What Is Shown* in Blender).

    python -m tests.benchmarks.strength --out tests/benchmarks/results/strength.json [--quick]

Each pair of prompts, drawn by a seed, has one mesh that training never saw and one texture of its old prompt, made as a
new user makes one. From it every strength is run by the new prompt, as the command line would. The built-in model, base
colour. It goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from pgc.evaluation.cache import ResultCache, environment, file_hash, folder_hash, rounded, write_json
from pgc.evaluation.judge.judge import JUDGE_FILE, Judge, load_judge
from pgc.evaluation.measures.statistics import mean_interval
from pgc.evaluation.meshes import judge_meshes
from pgc.evaluation.methods.config import TUNING_MESHES, TUNING_SEED, TuningCase, tuning_cases
from pgc.evaluation.methods.suite import judged
from pgc.evaluation.pictures import MeshViews, contact_sheet, to_bytes
from pgc.guidance.base import Guidance
from pgc.guidance.diffusion.pocket import pocket_weights
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.mesh import PreparedMesh, prepare_mesh
from pgc.optimization.config import Prompt
from pgc.runs.prepared import start_optimization
from pgc.runs.scene_building import SourceTextures
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import resolve
from pgc.texture.field import BakedTexture
from pgc.whole_files import write_picture

STRENGTHS = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
_SIZE = 256
_VIEW = 128


@dataclass(frozen=True)
class Pair:
    """Two prompts that differ in colour and in material; the mesh is the old one's."""

    old: TuningCase
    new: TuningCase


def pairs(count: int) -> list[Pair]:
    """Returns the first of the pairs that a seed draws."""
    cases = tuning_cases(TUNING_SEED, 2 * count)
    return [Pair(cases[2 * index], cases[2 * index + 1]) for index in range(count)]


def _textured(
    guidance: Guidance, mesh: PreparedMesh, case: TuningCase, start: BakedTexture | None, strength: float | None
) -> BakedTexture:
    choices = RunChoices(texture_size=_SIZE, seed=case.seed, strength=strength)
    run = start_optimization(
        mesh,
        Prompt(text=case.prompt),
        resolve(choices, PocketSpec())[1],
        guidance,
        sources=None if start is None else SourceTextures(initial=start),
    )
    for _ in run.steps():
        pass
    return run.scene.texture.bake()


def _row(judge: Judge, views: MeshViews, texture: BakedTexture, pair: Pair) -> tuple[dict[str, Any], Image.Image]:
    image = views.render(texture)
    row = {name: judged(judge, image, views.mask, case) for name, case in (("old", pair.old), ("new", pair.new))}
    return row, contact_sheet([list(to_bytes(image))], [f"{pair.old.prompt} > {pair.new.prompt}"])


def run_pair(guidance: Guidance, judge: Judge, cache: ResultCache, pair: Pair) -> dict[str, Any]:
    """Returns the judge's answers by strength; "0" is the old prompt's texture as it is."""
    part = f"{pair.old.index:02d}-{pair.new.index:02d}"
    known = cache.get(part)
    if known is not None:
        return known
    mesh = prepare_mesh(judge_meshes(TUNING_MESHES, TUNING_SEED)[pair.old.mesh])
    views = MeshViews(mesh.triangles, _VIEW)
    before = _textured(guidance, mesh, pair.old, None, None)
    found: dict[str, Any] = {"old": asdict(pair.old), "new": asdict(pair.new), "by_strength": {}}
    for strength in (0.0, *STRENGTHS):
        start = time.perf_counter()
        texture = before if strength == 0.0 else _textured(guidance, mesh, pair.new, before, strength)
        row, picture = _row(judge, views, texture, pair)
        found["by_strength"][f"{strength:g}"] = {**row, "seconds": time.perf_counter() - start}
        write_picture(cache.folder / f"{part}-{strength:g}.webp", picture, quality=80)
        sys.stdout.write(f"{part} {strength:g}: {rounded(row, 3)}\n")
        sys.stdout.flush()
    cache.put(part, found)
    return found


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns, for each strength, means over the pairs with their intervals."""

    def over(strength: str, which: str, what: str) -> Any:
        return mean_interval([row["by_strength"][strength][which][what] for row in rows])

    return {
        strength: {f"{which}_{what}": over(strength, which, what) for which in ("old", "new") for what in scores}
        for scores in (("color", "material"),)
        for strength in rows[0]["by_strength"]
    }


def main() -> None:
    """Runs what is missing, and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("out/eval/strength"))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one pair")
    given = parser.parse_args()
    chosen = pairs(1 if given.quick else given.pairs)
    cache = ResultCache(
        given.work,
        {
            "format": 1,
            "settings": asdict(resolve(RunChoices(texture_size=_SIZE), PocketSpec())[1]),
            "strengths": STRENGTHS,
            "weights": folder_hash(pocket_weights()),
            "judge": file_hash(JUDGE_FILE),
        },
    )
    sys.stdout.write(f"{len(chosen)} pairs, some ten minutes each on two idle cores, in {cache.folder}.\n")
    guidance, judge = load_guidance(PocketSpec(), torch.device("cpu")), load_judge()
    rows = [run_pair(guidance, judge, cache, pair) for pair in chosen]
    result = {"environment": environment(), "n": len(rows), "by_strength": summary(rows), "pairs": rows}
    write_json(given.out, rounded(result, 4))


if __name__ == "__main__":
    main()
