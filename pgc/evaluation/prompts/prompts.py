# SPDX-License-Identifier: Apache-2.0
"""The prompts of `pgc eval prompts`: drawn once by a fixed seed, kept as JSON, and held to that draw by a test."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pgc.errors import ConfigError
from pgc.evaluation.meshes import EVALUATION_MESHES, EvaluationMeshName
from pgc.pocket.data.materials import COLORS, MATERIALS, ColorName, MaterialName
from pgc.whole_files import write_text

__all__ = ["PROMPTS_FILE", "PROMPTS_SEED", "PromptCase", "draw_prompts", "load_prompts", "prompt_text", "save_prompts"]

PROMPTS_FILE = Path(__file__).parents[1] / "data" / "prompts.json"
PROMPTS_SEED = 20261121
_LEAST = 3

_ADJECTIVES: dict[MaterialName, str] = {
    "brick": "brick", "wood": "wooden", "marble": "marble", "checker": "checkered", "stripes": "striped",
    "dots": "polka dot", "camouflage": "camouflage", "rust": "rusty", "cobblestone": "cobblestone",
    "fabric": "woven fabric", "scales": "scaly", "plain": "plain",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCase:
    """One run of the evaluation: a prompt on a mesh, with the colour and the material that it names."""

    index: int
    prompt: str
    color: ColorName
    material: MaterialName
    mesh: EvaluationMeshName
    seed: int


def prompt_text(color: ColorName, material: MaterialName) -> str:
    """Returns ordinary English with the same noun for every mesh: "an orange striped object"."""
    article = "an" if color[0] in "aeiou" else "a"
    return f"{article} {color} {_ADJECTIVES[material]} object"


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
    write_text(path, text + "\n")


def load_prompts(path: Path = PROMPTS_FILE) -> tuple[PromptCase, ...]:
    """Loads the committed list, or another one.

    Raises:
        ConfigError: the file is missing, or a colour or a material comes fewer than three times.
    """
    if not path.is_file():
        raise ConfigError(f"There is no prompt list at {path}; the package is incomplete: install it again.")
    cases = tuple(PromptCase(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["cases"])
    for names, seen in (
        (COLORS, Counter(case.color for case in cases)),
        (MATERIALS, Counter(case.material for case in cases)),
    ):
        rare = [name for name in names if seen[name] < _LEAST]
        if rare:
            raise ConfigError(f"{path}: {rare} come fewer than {_LEAST} times; every value must come that often.")
    return cases
