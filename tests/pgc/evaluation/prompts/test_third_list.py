# SPDX-License-Identifier: Apache-2.0
"""The third list: it is what its seed draws, what it says is held out, and every mesh and word has its share."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pgc.errors import ConfigError
from pgc.evaluation.prompts.third_list import (
    CC0_MESHES,
    THIRD_FILE,
    THIRD_MESHES,
    ThirdCase,
    draw_third,
    load_third,
    save_third,
    third_prompt,
)
from pgc.pocket.data.captions import unknown_words
from pgc.pocket.swatches.catalog import RECIPES
from pgc.pocket.swatches.draw import COLOR_WORDS, draw, split_of, split_of_words
from pgc.pocket.swatches.words import vocabulary


@pytest.fixture(scope="module")
def cases() -> tuple[ThirdCase, ...]:
    return load_third()


@pytest.mark.slow
def test_the_file_is_what_the_seed_draws(cases: tuple[ThirdCase, ...], tmp_path: Path) -> None:
    assert cases == draw_third()
    assert cases != draw_third(seed=1)
    save_third(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == THIRD_FILE.read_bytes()


def test_every_mesh_has_its_share(cases: tuple[ThirdCase, ...]) -> None:
    assert len(cases) == len({case.prompt for case in cases}) == 64
    assert [case.index for case in cases] == list(range(64))
    assert len({case.seed for case in cases}) == 64
    assert Counter(case.mesh for case in cases) == dict.fromkeys(THIRD_MESHES, 8)
    assert Counter(case.mesh for case in cases if case.second) == dict.fromkeys(THIRD_MESHES, 5)
    assert len(CC0_MESHES) == 4


def test_words_come_often_enough_to_count(cases: tuple[ThirdCase, ...]) -> None:
    colors, seconds = (Counter(getattr(case, name) for case in cases) for name in ("color", "second"))
    assert all(colors[color] >= 2 for color in COLOR_WORDS)
    assert all(seconds[color] >= 2 for color in COLOR_WORDS)
    named = {recipe.name for recipe in RECIPES if (recipe.second or recipe.paired) and recipe.dye != "own"}
    assert {case.material for case in cases if case.second} == named
    assert max(Counter(case.material for case in cases).values()) <= 3
    assert len({case.material for case in cases}) >= len(named) + 24


def test_prompts_say_what_a_judge_is_to_find_in_known_words(cases: tuple[ThirdCase, ...]) -> None:
    recipes = {recipe.name: recipe for recipe in RECIPES}
    for case in cases:
        assert case.prompt == third_prompt(recipes[case.material], case.color, case.second)
        assert {word for word in (case.color, case.second) if word} <= set(case.prompt.split())
        assert unknown_words(case.prompt, vocabulary()) == []
        assert bool(case.color) == (recipes[case.material].dye != "own")


def test_two_colours_are_held_out_of_training(cases: tuple[ThirdCase, ...]) -> None:
    for case in cases:
        assert not case.second or split_of_words(case.color, case.material, case.second) == "test"
    # That rule is the one that training data are drawn by.
    rng = np.random.default_rng(5)
    drawn = [one for one in (draw(rng, "train", two=0.0) for _ in range(300)) if one.first.second]
    assert len(drawn) > 15
    for one in drawn:
        assert split_of(one) == "train"
        assert split_of_words(one.first.color, one.first.recipe.name, one.first.second) == "train"


def test_english() -> None:
    recipes = {recipe.name: recipe for recipe in RECIPES}
    assert third_prompt(recipes["bricks"], "red", "black") == "a red brick object with black mortar"
    assert third_prompt(recipes["checks"], "orange", "white") == "an orange and white checkered object"
    assert third_prompt(recipes["oak"], "", "") == "an oak object"


@pytest.mark.parametrize("wrong", [{"mesh": "dragon"}, {"material": "kryptonite"}])
def test_a_strange_case_is_refused(wrong: dict[str, str], tmp_path: Path) -> None:
    listed = json.loads(THIRD_FILE.read_text(encoding="utf-8"))
    listed["cases"][5] |= wrong
    path = tmp_path / "list.json"
    path.write_text(json.dumps(listed), encoding="utf-8")
    with pytest.raises(ConfigError, match="case 5"):
        load_third(path)
    with pytest.raises(ConfigError, match="install it again"):
        load_third(tmp_path / "none.json")
