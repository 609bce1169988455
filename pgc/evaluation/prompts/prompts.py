# SPDX-License-Identifier: Apache-2.0
"""The prompts of `pgc eval prompts`: drawn once by a fixed seed and kept as JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pgc.errors import ConfigError
from pgc.evaluation.meshes import EvaluationMeshName
from pgc.pocket.data.materials import COLORS, MATERIALS, ColorName, MaterialName

__all__ = ["PROMPTS_FILE", "PromptCase", "load_prompts", "prompt_text"]

PROMPTS_FILE = Path(__file__).parents[1] / "data" / "prompts.json"
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
