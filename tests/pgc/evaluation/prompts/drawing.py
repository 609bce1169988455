# SPDX-License-Identifier: Apache-2.0
"""How the prompts of `pgc eval prompts` were drawn; a test holds the list that is kept to this draw."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from pgc.evaluation.meshes import EVALUATION_MESHES, EvaluationMeshName
from pgc.evaluation.prompts.prompts import PromptCase, prompt_text
from pgc.pocket.data.materials import COLORS, MATERIALS

PROMPTS_SEED = 20261121


def draw_prompts(seed: int = PROMPTS_SEED) -> tuple[PromptCase, ...]:
    """Draws 44 cases: every mesh meets every colour once, and materials are drawn so that no pair comes twice.

    Every colour thus comes four times and every material three or four times, out of the 132 of the full product.
    Whole draws are repeated until both hold, so that every allowed outcome is equally likely.
    """
    rng = np.random.default_rng(seed)
    count = len(COLORS) * len(EVALUATION_MESHES)
    colors = list(COLORS) * len(EVALUATION_MESHES)
    meshes: list[EvaluationMeshName] = [mesh for mesh in EVALUATION_MESHES for _ in COLORS]
    while True:
        extra = rng.choice(len(MATERIALS), size=count % len(MATERIALS), replace=False)
        deck = [*list(range(len(MATERIALS))) * (count // len(MATERIALS)), *(int(i) for i in extra)]
        materials = [MATERIALS[deck[i]] for i in rng.permutation(count)]
        if len(set(zip(colors, materials, strict=True))) == count:
            break
    return tuple(
        PromptCase(index=i, prompt=prompt_text(c, m), color=c, material=m, mesh=mesh, seed=1000 + i)
        for i, (c, m, mesh) in enumerate(zip(colors, materials, meshes, strict=True))
    )


def save_prompts(path: Path, cases: tuple[PromptCase, ...], seed: int) -> None:
    """Writes the list as JSON."""
    text = json.dumps({"seed": seed, "cases": [asdict(case) for case in cases]}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
