# SPDX-License-Identifier: Apache-2.0
"""Drawing materials: which recipe, which colours, how large, under which finish, and a second material beside it."""

import zlib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pgc.pocket.data.palette import COLORS, Rgb, jittered, scaled, second_tone
from pgc.pocket.swatches.catalog import RECIPES
from pgc.pocket.swatches.compose import LAYOUTS, Layout, composed, coverage
from pgc.pocket.swatches.fields import Floats
from pgc.pocket.swatches.finish import ROUGHNESS, finished
from pgc.pocket.swatches.pairs import partners
from pgc.pocket.swatches.recipe import Finish, Look, Recipe, Values, surface_of

__all__ = [
    "COLOR_WORDS",
    "SCALES",
    "Drawn",
    "Scale",
    "Split",
    "Substance",
    "draw",
    "drawn_values",
    "split_of",
    "split_of_words",
]

Split = Literal["train", "tune", "test"]
Scale = Literal["", "tiny", "small", "large"]
SCALES: dict[Scale, float] = {"": 1.0, "tiny": 0.40, "small": 0.66, "large": 1.75}
COLOR_WORDS: tuple[str, ...] = (*COLORS, "gray")


@dataclass(frozen=True)
class Substance:
    """One material of a picture. ``color`` and ``second`` are empty where they are not said."""

    recipe: Recipe
    look: Look
    color: str = ""
    second: str = ""
    scale: Scale = ""
    finish: Finish | None = None
    roughness: float = 0.5


@dataclass(frozen=True)
class Drawn:
    """What a picture shows: one material, or a second one over it in some layout."""

    first: Substance
    other: Substance | None = None
    layout: Layout = "bands"
    layout_seed: int = 0
    layout_period: float = 0.5


def _tone(rng: np.random.Generator, color: str) -> Rgb:
    for name in COLORS:
        if name == color:
            return jittered(rng, name)
    level = float(rng.uniform(0.36, 0.56))
    return (level, level, level)


def _varied(rng: np.random.Generator, tone: Rgb) -> Rgb:
    """The tone, a little lighter or darker, warmer or colder."""
    changed = np.clip(np.asarray(tone) * rng.uniform(0.92, 1.06) * rng.uniform(0.97, 1.03, 3), 0.0, 1.0)
    return (float(changed[0]), float(changed[1]), float(changed[2]))


def _pale_or_dark(rng: np.random.Generator, color: str) -> Rgb:
    """What stands beside a colour where only one is said."""
    for name in COLORS:
        if name == color:
            return second_tone(rng, name)
    return (0.92, 0.91, 0.88)


def _colors(rng: np.random.Generator, recipe: Recipe, likely: float) -> tuple[str, str, Rgb, Rgb]:
    """(colour word, second's word, main, second): natural tones where nothing is said."""
    main, second = (_varied(rng, tone) for tone in recipe.natural[int(rng.integers(len(recipe.natural)))])
    said = second_said = ""
    names_second = bool(recipe.second) or recipe.paired
    if recipe.dye != "own" and rng.random() < likely:
        said = COLOR_WORDS[int(rng.integers(len(COLOR_WORDS)))]
        main = _tone(rng, said)
        if recipe.paired:
            second = _pale_or_dark(rng, said)
        elif not recipe.second:
            second = scaled(main, float(rng.uniform(0.45, 0.7)))
    if names_second and (said or not recipe.paired) and rng.random() < 0.5:
        others = [color for color in COLOR_WORDS if color != said]
        second_said = others[int(rng.integers(len(others)))]
        second = _tone(rng, second_said)
    return said, second_said, main, second


def substance(rng: np.random.Generator, recipe: Recipe, likely: float = 0.6) -> Substance:
    """Draws a look of ``recipe`` with what is said of it; a colour is said with the chance ``likely`` where it has
    none."""
    color, second, main, other = _colors(rng, recipe, likely)
    scale: Scale = ""
    if recipe.sized and rng.random() < 0.4:
        scale = ("tiny", "small", "large")[int(rng.integers(3))]
    low, high = recipe.period
    offset = rng.uniform(0.0, 8.0, 3)
    look = Look(
        main=main,
        second=other,
        period=float(rng.uniform(low, high)) * SCALES[scale],
        offset=(float(offset[0]), float(offset[1]), float(offset[2])),
        seed=int(rng.integers(1, 2**20)),
        variant=float(rng.random()),
    )
    finish = recipe.finishes[int(rng.integers(len(recipe.finishes)))] if recipe.finishes else None
    if finish is None or rng.random() < 0.45:
        return Substance(recipe, look, color, second, scale)
    return Substance(recipe, look, color, second, scale, finish, float(rng.uniform(*ROUGHNESS[finish])))


def split_of_words(*parts: str) -> Split:
    """Says which set a combination of words belongs to: colour, material, second colour, and those of a second
    material where there is one."""
    bucket = zlib.crc32("|".join(parts).encode()) % 10
    return "test" if bucket == 0 else "tune" if bucket == 1 else "train"


def split_of(drawn: Drawn) -> Split:
    """Says which set a drawn material belongs to: what is said in parts is held out by its words, the rest is in
    all."""
    parts = [drawn.first.color, drawn.first.recipe.name, drawn.first.second]
    if drawn.other is not None:
        parts += [drawn.other.color, drawn.other.recipe.name, drawn.layout]
    if not (drawn.first.second or drawn.other):
        return "train"
    return split_of_words(*parts)


def _draw_once(rng: np.random.Generator, recipes: tuple[Recipe, ...], two: float) -> Drawn:
    weights = np.array([recipe.weight for recipe in recipes])
    recipe = recipes[int(rng.choice(len(recipes), p=weights / weights.sum()))]
    if rng.random() >= two:
        return Drawn(substance(rng, recipe))
    layout = LAYOUTS[int(rng.integers(len(LAYOUTS)))]
    bases, others = partners(layout)
    base, other = (pool[int(rng.integers(len(pool)))] for pool in (bases, others))
    first = replace(substance(rng, base, 0.35), second="")
    # Paint without a colour would be a patch that no word explains.
    over = replace(substance(rng, other, 1.0 if layout == "patches" else 0.3), second="", finish=None)
    return Drawn(first, over, layout, int(rng.integers(1, 2**20)), float(rng.uniform(0.36, 0.62)))


def draw(
    rng: np.random.Generator, split: Split = "train", recipes: tuple[Recipe, ...] = RECIPES, two: float = 0.18
) -> Drawn:
    """Draws what a picture of the set ``split`` shows; ``two`` is the share with a second material."""
    while True:
        drawn = _draw_once(rng, recipes, two)
        belongs = split_of(drawn)
        # Single materials are in every set: their looks differ by seed.
        if belongs == split or (belongs == "train" and not (drawn.first.second or drawn.other)):
            return drawn


def _values(one: Substance, positions: Floats, normals: Floats) -> Values:
    surface = surface_of(positions, normals, one.look)
    made = one.recipe.paint(surface, one.look)
    if one.finish is not None:
        made = finished(surface, made, one.finish, one.roughness, one.look.seed + 401)
    return replace(made, height=made.height * np.float32(one.look.period))


def drawn_values(drawn: Drawn, positions: Floats, normals: Floats) -> Values:
    """Returns the values at points [N, 3] with unit normals [N, 3] (Z up, object units); ``height`` in object units."""
    first = _values(drawn.first, positions, normals)
    if drawn.other is None:
        return first
    cover = coverage(drawn.layout, positions, normals, drawn.layout_seed, drawn.layout_period)
    return composed(first, _values(drawn.other, positions, normals), cover, drawn.layout)
