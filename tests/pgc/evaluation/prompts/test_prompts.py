# SPDX-License-Identifier: Apache-2.0
"""The committed prompt list is the draw that it says it is."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from pgc.errors import ConfigError
from pgc.evaluation.prompts.prompts import PROMPTS_FILE, load_prompts, prompt_text
from pgc.pocket.data.captions import vocabulary
from pgc.pocket.data.materials import COLORS, MATERIALS
from tests.pgc.evaluation.prompts.drawing import PROMPTS_SEED, draw_prompts, save_prompts


def test_the_committed_list_is_the_draw_of_its_seed() -> None:
    assert json.loads(PROMPTS_FILE.read_text(encoding="utf-8"))["seed"] == PROMPTS_SEED
    assert load_prompts() == draw_prompts(PROMPTS_SEED)
    assert draw_prompts(PROMPTS_SEED + 1) != draw_prompts(PROMPTS_SEED)


@pytest.mark.parametrize("seed", range(5))
def test_every_draw_covers_the_product_evenly(seed: int) -> None:
    cases = draw_prompts(seed)
    assert len(cases) == 44
    assert set(Counter(case.mesh for case in cases).values()) == {11}
    assert set(Counter(case.color for case in cases).values()) == {4}
    materials = Counter(case.material for case in cases)
    assert set(materials) == set(MATERIALS)
    assert min(materials.values()) >= 3
    assert len({(case.color, case.material) for case in cases}) == 44
    assert len({case.seed for case in cases}) == 44


def test_prompts_are_ordinary_english_in_words_that_the_prior_knows() -> None:
    assert prompt_text("orange", "stripes") == "an orange striped object"
    assert prompt_text("red", "brick") == "a red brick object"
    known = {word for group in vocabulary().values() for word in group}
    for color in COLORS:
        for material in MATERIALS:
            assert set(prompt_text(color, material).split()) <= known


def test_lists_with_rare_values_are_refused(tmp_path: Path) -> None:
    cases = tuple(case for case in draw_prompts() if case.color != "teal")
    save_prompts(tmp_path / "prompts.json", cases, 0)
    with pytest.raises(ConfigError, match="teal"):
        load_prompts(tmp_path / "prompts.json")
    with pytest.raises(ConfigError, match="no prompt list"):
        load_prompts(tmp_path / "absent.json")
