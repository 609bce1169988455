# SPDX-License-Identifier: Apache-2.0
"""Does a repainted region show the new prompt? The 32 prompts of `pgc eval prompts`, each inside a region of a texture
of another one.

    python -m tests.benchmarks.repaint_prompts --out tests/benchmarks/results/repaint_prompts.json [--quick]

The texture that is there is the drawn material of the next prompt in the list with another colour and material. The
region is two fifths of the surface, on one side of the mesh that a seed chooses; it is repainted at the defaults of
`pgc texture --init-texture FILE --change-mask FILE`. The judge sees the region alone, in the views that show most of
it. It goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from pgc.evaluation.cache import ResultCache, environment, file_hash, folder_hash, rounded, write_json
from pgc.evaluation.ground_truth import bake_material, material_of
from pgc.evaluation.judge.judge import JUDGE_FILE, Judge, load_judge
from pgc.evaluation.materials.judge import texel_area
from pgc.evaluation.measures.statistics import proportion
from pgc.evaluation.meshes import evaluation_mesh
from pgc.evaluation.pictures import MeshViews, contact_sheet, to_bytes
from pgc.evaluation.prompts.prompts import PromptCase, load_prompts
from pgc.guidance.base import Guidance
from pgc.guidance.diffusion.pocket import pocket_weights
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.mesh import PreparedMesh, prepare_mesh
from pgc.optimization.config import Prompt
from pgc.runs.prepared import start_optimization
from pgc.runs.scene_building import SourceTextures
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import RunSettings, resolve
from pgc.texture.field import BakedTexture, from_uint8_values
from pgc.texture.texel_surface import texel_surface
from pgc.whole_files import write_picture

__all__ = ["old_of", "region", "shown", "summary"]

SHARE = 0.4
"""Of the surface, repainted."""
_ENOUGH = 0.5
"""A view counts that shows at least so much of the region as the best one."""


def old_of(cases: tuple[PromptCase, ...], index: int) -> PromptCase:
    """Returns the next case in the list that names another colour and another material."""
    own = cases[index]
    later = cases[index + 1 :] + cases[:index]
    return next(case for case in later if case.color != own.color and case.material != own.material)


def region(mesh: PreparedMesh, size: int, seed: int) -> Bool[np.ndarray, "s s"]:
    """Chooses texels of `SHARE` of the surface: those farthest in a direction that the seed draws."""
    direction = np.random.default_rng([31, seed]).normal(size=3)
    surface = texel_surface(mesh.triangles, size, reach=1.0)
    far = np.where(surface.face_index >= 0, surface.position @ (direction / np.linalg.norm(direction)), -np.inf)
    area = texel_area(mesh.triangles, size).numpy()
    order = np.argsort(far[surface.inside])
    share = np.cumsum(area[surface.inside][order]) / area[surface.inside].sum()
    return far > far[surface.inside][order][np.searchsorted(share, 1.0 - SHARE)]


def shown(views: MeshViews, chosen: Bool[np.ndarray, "s s"]) -> tuple[Bool[Tensor, "b 1 h w"], Bool[Tensor, " b"]]:
    """Returns the pixels of each view that show the region and nothing else, and which views show enough of it."""
    white = torch.from_numpy(chosen.astype(np.float32)).expand(3, -1, -1).clone()
    seen = (views.render(BakedTexture(maps={"base_color": [white]}))[:, :1] > 0.95) & views.mask
    counts = seen.flatten(1).sum(1)
    return seen, counts >= _ENOUGH * counts.max()


def repainted(guidance: Guidance, judge: Judge, settings: RunSettings, case: PromptCase, old: PromptCase) -> Any:
    """Runs a case. Returns its row and its pictures."""
    mesh = prepare_mesh(evaluation_mesh(case.mesh))
    size = settings.texture.texture_size
    drawn = bake_material(mesh.triangles, material_of(old.color, old.material, old.seed), size)
    # As a file has it.
    start = BakedTexture(maps={"base_color": [from_uint8_values(_bytes(drawn))]})
    chosen = region(mesh, size, case.seed)
    sources = SourceTextures(initial=start, lock_mask=[torch.from_numpy(~chosen)])
    begun = time.perf_counter()
    own = replace(settings, optimize=replace(settings.optimize, seed=case.seed))
    run = start_optimization(mesh, Prompt(text=case.prompt), own, guidance, sources=sources)
    for _ in run.steps():
        pass
    done = run.scene.texture.bake()
    seconds = time.perf_counter() - begun
    views = MeshViews(mesh.triangles, 256)
    picture, (seen, enough) = views.render(done), shown(views, chosen)
    verdict = judge.verdict(picture[enough], seen[enough])
    row = {
        "case": asdict(case),
        "old": {"color": old.color, "material": old.material},
        "color": verdict.color,
        "material": verdict.material,
        "views": int(enough.sum()),
        "kept_bytes_that_differ": int(((_bytes(done) != _bytes(start)).any(dim=0).numpy() & ~chosen).sum()),
        "seconds": seconds,
    }
    return row, contact_sheet([list(to_bytes(picture))], [f"{old.color} {old.material} > {case.prompt}"])


def _bytes(texture: BakedTexture) -> Tensor:
    """The base colour's bytes as they stand in a file, [3, s, s]."""
    return (texture.maps["base_color"][0] * 255.0).round().to(torch.uint8)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns how often the judge names what was asked for, and how often what was there."""
    named = {key: asdict(proportion([row[key] == row["case"][key] for row in rows])) for key in _ASKED}
    before = {key: sum(row[key] == row["old"][key] for row in rows) for key in _ASKED}
    both = [all(row[key] == row["case"][key] for key in _ASKED) for row in rows]
    return {
        "n": len(rows),
        "named": named,
        "both_named": asdict(proportion(both)),
        "old_named": before,
        "kept_bytes_that_differ": sum(row["kept_bytes_that_differ"] for row in rows),
    }


_ASKED = ("color", "material")


def main() -> None:
    """Runs what is missing, and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("out/eval/repaint"))
    parser.add_argument("--limit", type=int, default=32)
    parser.add_argument("--backwards", action="store_true", help="from the last case on, for a second process")
    parser.add_argument("--quick", action="store_true", help="two prompts")
    given = parser.parse_args()
    settings = resolve(RunChoices(), PocketSpec())[1]
    cache = ResultCache(
        given.work,
        {
            "format": 1,
            "settings": asdict(settings),
            "share": SHARE,
            "weights": folder_hash(pocket_weights()),
            "judge": file_hash(JUDGE_FILE),
        },
    )
    cases = load_prompts()
    chosen = cases[: 2 if given.quick else given.limit]
    sys.stdout.write(f"{len(chosen)} runs, some 45 processor seconds each, in {cache.folder}.\n")
    guidance, judge, rows = load_guidance(PocketSpec(), torch.device("cpu")), load_judge(), list[dict[str, Any]]()
    for case in reversed(chosen) if given.backwards else chosen:
        part = f"{case.index:02d}"
        row = cache.get(part)
        if row is None:
            row, sheet = repainted(guidance, judge, settings, case, old_of(cases, cases.index(case)))
            write_picture(cache.folder / f"{part}.webp", sheet, quality=80)
            cache.put(part, row)
        rows.append(row)
        sys.stdout.write(f"{row['case']['prompt']}: {row['color']} {row['material']}, {row['seconds']:.0f} s\n")
        sys.stdout.flush()
    rows.sort(key=lambda row: row["case"]["index"])
    write_json(given.out, rounded({"environment": environment(), **summary(rows), "runs": rows}, 4))


if __name__ == "__main__":
    main()
