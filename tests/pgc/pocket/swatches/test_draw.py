# SPDX-License-Identifier: Apache-2.0
"""What is drawn of materials: named truly, coloured as said, sized as said, and in one of three disjoint sets."""

import re
from dataclasses import replace

import numpy as np
import pytest

from pgc.pocket.swatches.catalog import RECIPES
from pgc.pocket.swatches.compose import LAYOUTS, coverage
from pgc.pocket.swatches.draw import SCALES, Drawn, draw, drawn_values, split_of, substance
from pgc.pocket.swatches.finish import FINISH_WORDS, ROUGHNESS, finished
from pgc.pocket.swatches.pairs import LAYOUT_PHRASES, partners
from pgc.pocket.swatches.recipe import Finish, Recipe, surface_of
from pgc.pocket.swatches.words import caption, phrase, vocabulary


def named(name: str) -> Recipe:
    return next(recipe for recipe in RECIPES if recipe.name == name)


def ball(count: int = 3000) -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(count, 3))
    return (points / np.linalg.norm(points, axis=-1, keepdims=True)).astype(np.float32)


def some(count: int, split: str = "train") -> list[Drawn]:
    rng = np.random.default_rng(8)
    return [draw(rng, split) for _ in range(count)]


@pytest.mark.slow
def test_every_word_is_drawn_and_every_drawn_word_is_known() -> None:
    rng = np.random.default_rng(2)
    known = vocabulary()
    words = {word for group in known.values() for word in group}
    seen: set[str] = set()
    for drawn in some(4000):
        text = caption(rng, drawn, "vase", "front", bool(rng.random() < 0.3))
        said = set(re.findall(r"[a-z0-9]+", text))
        assert said <= words, text
        seen |= said
    for group in ("colors", "materials", "finishes", "scales", "layouts"):
        assert set(known[group]) <= seen, (group, set(known[group]) - seen)


@pytest.mark.slow
def test_captions_say_what_is_there() -> None:
    rng = np.random.default_rng(3)
    for drawn in some(300):
        text = phrase(rng, drawn)
        for part in (drawn.first.color, drawn.first.second, drawn.first.scale):
            assert part in text
        if drawn.other is not None:
            assert drawn.other.recipe.name in text
        if drawn.first.finish:
            assert any(word in text for word in FINISH_WORDS[drawn.first.finish])


@pytest.mark.slow
def test_sets_are_disjoint_in_what_is_said_in_parts() -> None:
    def parts(split: str) -> set[tuple[object, ...]]:
        return {
            (
                d.first.color,
                d.first.recipe.name,
                d.first.second,
                d.other and (d.other.color, d.other.recipe.name),
                d.layout,
            )
            for d in some(1500, split)
            if d.first.second or d.other
        }

    train, tune, test = (parts(split) for split in ("train", "tune", "test"))
    assert len(train) > 150
    assert min(len(tune), len(test)) > 30
    assert not train & tune
    assert not train & test
    assert not tune & test


@pytest.mark.slow
def test_single_materials_are_in_every_set() -> None:
    for split in ("train", "tune", "test"):
        names = {drawn.first.recipe.name for drawn in some(2500, split) if not drawn.first.second and not drawn.other}
        assert len(names) >= len(RECIPES) - 4, split
    assert split_of(Drawn(substance(np.random.default_rng(0), named("oak"), 0.0))) == "train"


@pytest.mark.slow
def test_said_colours_are_shown() -> None:
    rng = np.random.default_rng(5)
    bricks = next(one for one in iter(lambda: substance(rng, named("bricks"), 1.0), None)
                  if one.color == "blue" and one.second == "black")  # fmt: skip
    color = drawn_values(Drawn(bricks), ball() * 0.7, ball()).base_color
    blue = color[color.max(-1) > 0.3].mean(0)
    assert blue[2] > 1.5 * blue[0]
    assert (color.max(-1) < 0.25).mean() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["tiny", "small", "large"])
def test_scale_words_change_the_size(scale: str) -> None:
    rng = np.random.default_rng(6)
    drawn = [substance(rng, named("checks")) for _ in range(400)]
    plain = np.mean([one.look.period for one in drawn if not one.scale])
    sized = np.mean([one.look.period for one in drawn if one.scale == scale])
    assert sized / plain == pytest.approx(SCALES[scale], rel=0.1)


@pytest.mark.parametrize("finish", sorted(ROUGHNESS))
def test_finishes_set_the_roughness(finish: Finish) -> None:
    one = substance(np.random.default_rng(1), named("granite"), 0.0)
    surface = surface_of(ball() * 0.7, ball(), one.look)
    plain = one.recipe.paint(surface, one.look)
    target = float(np.mean(ROUGHNESS[finish]))
    after = finished(surface, plain, finish, target, 3)
    if finish in ("dusty", "worn"):
        # In patches: the mean moves towards the word's roughness.
        assert (after.roughness.mean() - plain.roughness.mean()) * (target - plain.roughness.mean()) > 0.0
    else:
        assert after.roughness.mean() == pytest.approx(target, rel=0.25)
    if finish in ("wet", "dusty", "worn"):
        assert not np.array_equal(after.base_color, plain.base_color)
    if finish == "wet":
        assert after.base_color.mean() < plain.base_color.mean()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_show_both_materials(layout: str) -> None:
    shares = [coverage(layout, ball() * 0.7, ball(), seed, 0.5).mean() for seed in range(12)]
    assert 0.1 < np.mean(shares) < 0.7
    assert min(shares) > 0.02
    assert max(shares) < 0.9
    bases, others = partners(layout)
    rng = np.random.default_rng(1)
    first, other = substance(rng, bases[0], 0.0), substance(rng, others[0], 0.0)
    both = drawn_values(Drawn(first, other, layout, 3), ball() * 0.7, ball())
    alone = [drawn_values(Drawn(one), ball() * 0.7, ball()) for one in (first, other)]
    same = [(np.abs(both.base_color - one.base_color).max(-1) < 1e-3).mean() for one in alone]
    assert min(same) > 0.05
    assert len(LAYOUT_PHRASES[layout]) >= 3


def test_snow_lies_on_top() -> None:
    cover = coverage("top", ball() * 0.7, ball(), 3, 0.5)
    assert cover[ball()[:, 2] > 0.8].mean() > 0.8
    assert cover[ball()[:, 2] < -0.3].mean() < 0.1


def test_height_is_in_object_units() -> None:
    one = substance(np.random.default_rng(1), named("cobblestone"), 0.0)
    large = replace(one, look=replace(one.look, period=one.look.period * 2.0))
    small_height, large_height = (drawn_values(Drawn(s), ball() * 0.7, ball()).height.std() for s in (one, large))
    assert large_height / small_height == pytest.approx(2.0, rel=0.35)
