# SPDX-License-Identifier: Apache-2.0
"""The third edition's list: 64 prompts of colour, material and second colour on eight meshes, drawn once by a seed.

What is said in two colours belongs to the test set of the training data (`pgc.pocket.swatches.draw.split_of_words`), so
that the prior has seen each word and never these together.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from pgc.errors import ConfigError
from pgc.evaluation.meshes import EVALUATION_MESHES, EvaluationMeshName
from pgc.pocket.data.captions import article
from pgc.pocket.swatches.catalog import RECIPES
from pgc.pocket.swatches.draw import COLOR_WORDS, split_of_words
from pgc.pocket.swatches.recipe import Recipe
from pgc.whole_files import write_text

__all__ = [
    "CC0_MESHES",
    "THIRD_FILE",
    "THIRD_MESHES",
    "THIRD_SEED",
    "ThirdCase",
    "draw_third",
    "load_third",
    "save_third",
    "third_prompt",
]

THIRD_FILE = Path(__file__).parents[1] / "data" / "prompts_third.json"
THIRD_SEED = 20261129

Cc0MeshName = Literal["horse2", "barrel", "couch2", "chicken"]
CC0_MESHES: tuple[Cc0MeshName, ...] = get_args(Cc0MeshName)
"""Models of the archive BlendSwap-CC-0.sh3f in Debian's package sweethome3d-furniture: made by others and given away
under CC0; nothing is trained on them. Legs, a lathe, cushions, a body."""
THIRD_MESHES: tuple[EvaluationMeshName | Cc0MeshName, ...] = (*EVALUATION_MESHES, *CC0_MESHES)

_TWO_COLORS, _ONE_COLOR = 40, 24
_MOST = {"material": 3, "color": 4, "second": 4}
"""How often each value may come among the prompts of two colours."""
_LEAST = 2
"""How often each colour comes there, first and second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThirdCase:
    """One run: a prompt on a mesh, with the words that a judge is to find again.

    ``color`` is empty where the material has its own, ``second`` where none is said.
    """

    index: int
    prompt: str
    color: str
    material: str
    second: str
    mesh: str
    seed: int


def _named(recipe: Recipe) -> str:
    return recipe.adjective or recipe.name


def third_prompt(recipe: Recipe, color: str, second: str) -> str:
    """Writes ordinary English with the same noun for every mesh: "a red brick object with black mortar"."""
    if second and recipe.paired:
        return article(f"{color} and {second} {_named(recipe)} object")
    plain = article(" ".join(word for word in (color, _named(recipe), "object") if word))
    return f"{plain} with {second} {recipe.second}" if second else plain


def _two_colors(rng: np.random.Generator) -> list[tuple[Recipe, str, str]]:
    """Held-out triples in random order, each taken unless one of its values has come often enough.

    The draw is repeated until every colour is in it.
    """
    able = [recipe for recipe in RECIPES if (recipe.second or recipe.paired) and recipe.dye != "own"]
    triples = [
        (recipe, color, second)
        for recipe in able
        for color in COLOR_WORDS
        for second in COLOR_WORDS
        if color != second and split_of_words(color, recipe.name, second) == "test"
    ]
    seen: Counter[tuple[str, str]] = Counter()
    chosen: list[tuple[Recipe, str, str]] = []
    for place in rng.permutation(len(triples)):
        recipe, color, second = triples[int(place)]
        values = {"material": recipe.name, "color": color, "second": second}
        if len(chosen) < _TWO_COLORS and all(seen[item] < _MOST[item[0]] for item in values.items()):
            chosen.append((recipe, color, second))
            seen.update(values.items())
    enough = all(seen[place, color] >= _LEAST for place in ("color", "second") for color in COLOR_WORDS)
    return chosen if enough and len(chosen) == _TWO_COLORS else _two_colors(rng)


def _one_color(rng: np.random.Generator) -> list[tuple[Recipe, str, str]]:
    """Other materials, each once; those that may be dyed take the colours in turn."""
    others = [recipe for recipe in RECIPES if not (recipe.second or recipe.paired)]
    picked = [others[int(place)] for place in rng.permutation(len(others))[:_ONE_COLOR]]
    colors = [COLOR_WORDS[int(place)] for place in rng.permutation(len(COLOR_WORDS))]
    return [
        (recipe, "" if recipe.dye == "own" else colors[place % len(colors)], "") for place, recipe in enumerate(picked)
    ]


def draw_third(seed: int = THIRD_SEED) -> tuple[ThirdCase, ...]:
    """Draws 64 cases: 40 of two colours, 24 of one or of the material's own; every mesh has five and three of them."""
    rng = np.random.default_rng(seed)
    drawn = [*_two_colors(rng), *_one_color(rng)]
    return tuple(
        ThirdCase(
            index=index, prompt=third_prompt(recipe, color, second), color=color, material=recipe.name,
            second=second, mesh=THIRD_MESHES[index % len(THIRD_MESHES)], seed=3000 + index,
        )
        for index, (recipe, color, second) in enumerate(drawn)
    )  # fmt: skip


def save_third(path: Path = THIRD_FILE, seed: int = THIRD_SEED) -> None:
    """Writes the list as JSON."""
    cases = [asdict(case) for case in draw_third(seed)]
    write_text(path, json.dumps({"seed": seed, "cases": cases}, indent=1) + "\n")


def load_third(path: Path = THIRD_FILE) -> tuple[ThirdCase, ...]:
    """Loads the committed list, or another one.

    Raises:
        ConfigError: the file is missing, or names a mesh or a material that is not known.
    """
    if not path.is_file():
        raise ConfigError(f"There is no prompt list at {path}; the package is incomplete: install it again.")
    cases = tuple(ThirdCase(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["cases"])
    materials = {recipe.name for recipe in RECIPES}
    for case in cases:
        if case.mesh not in THIRD_MESHES or case.material not in materials:
            raise ConfigError(
                f"{path}: case {case.index} is {case.material!r} on {case.mesh!r}; expected a material of the catalog "
                f"and one of {', '.join(THIRD_MESHES)}."
            )
    return cases
