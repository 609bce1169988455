# SPDX-License-Identifier: Apache-2.0
"""The lit renders of the second edition: repeatable, truly labelled, and lit as runs are."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pgc.pocket.data.captions import vocabulary
from pgc.pocket.data.finishes import METALS, LitMaterial, draw_material, material_points
from pgc.pocket.data.lit_captions import lit_vocabulary, write_lit_caption
from pgc.pocket.data.lit_dataset import LitDataConfig, generate_lit, load_lit, load_lit_captions
from pgc.pocket.data.lit_render import LitRenderConfig, render_lit
from pgc.pocket.data.render import RenderConfig

SMALL = LitRenderConfig(render=RenderConfig(size=32, focal=(0.95, 1.6)), drawn=1)


@cache
def drawn(count: int = 400) -> Sequence[LitMaterial]:
    rng = np.random.default_rng(5)
    return [draw_material(rng) for _ in range(count)]


def ball(count: int = 3000) -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(count, 3))
    return (points / np.linalg.norm(points, axis=-1, keepdims=True)).astype(np.float32)


@pytest.mark.slow
def test_a_scene_depends_on_its_number_and_the_seed_only() -> None:
    first, again, other = (render_lit(3, seed, SMALL) for seed in (1, 1, 2))
    assert len(first) == SMALL.materials
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.shading, b.shading)
        assert a.caption == b.caption
    assert not np.array_equal(first[0].image, other[0].image)


@pytest.mark.slow
def test_later_scenes_are_of_patterns_and_often_wet() -> None:
    config = replace(SMALL, patterns_from=4)
    early, late = (
        [sample for scene in scenes for sample in render_lit(scene, 1, config)] for scenes in (range(4), range(4, 16))
    )
    assert {sample.kind for sample in late} == {"pattern"}
    assert {sample.kind for sample in early} != {"pattern"}
    assert sum(sample.finish == "wet" for sample in late) >= 4


@pytest.mark.slow
def test_light_is_told_where_there_is_some() -> None:
    lit = render_lit(1, 4, replace(SMALL, flat_share=0.0))
    flat = render_lit(1, 4, replace(SMALL, flat_share=1.0))
    for sample in lit:
        assert sample.shading[sample.depth > 0].any(axis=-1).all()
        corner = sample.shading[sample.depth == 0]
        # Pixels of the silhouette, less than half covered, have shading and no depth; the rest is empty.
        assert (corner.any(axis=-1)).mean() < 0.25
        assert "flat" not in sample.caption
    for sample in flat:
        assert not sample.shading.any()
        assert "flat lighting" in sample.caption


@pytest.mark.slow
def test_words_say_what_the_material_is() -> None:
    names = "|".join([*METALS, "aluminum", "metal", "metallic"])
    for material in drawn():
        words = material.words.split()
        values = material_points(material, ball(200), ball(200))
        if material.kind == "metal":
            assert re.search(names, material.words), material.words
            assert (values.metallic == 1.0).all()
        if material.kind in ("plastic", "pattern"):
            assert (values.metallic == 0.0).all()
        if {"polished", "glossy", "wet", "shiny"} & set(words):
            assert values.roughness.max() <= 0.22, material.words
        if {"matte", "rough", "dull"} & set(words):
            assert values.roughness.min() >= 0.74, material.words


@pytest.mark.slow
def test_rust_is_rough_and_mostly_no_metal() -> None:
    rusty = [material for material in drawn() if material.kind == "rusty"]
    values = [material_points(material, ball() * 0.7, ball()) for material in rusty]
    metallic = float(np.mean([value.metallic.mean() for value in values]))
    assert 0.1 < metallic < 0.45
    assert np.mean([value.roughness.mean() for value in values]) > 0.7


def test_water_darkens() -> None:
    wet = next(material for material in drawn() if material.wetness)
    dry = replace(wet, wetness=0.0)
    points = ball()
    assert (
        material_points(wet, points, points).base_color.mean() < material_points(dry, points, points).base_color.mean()
    )


@pytest.mark.slow
def test_every_word_is_in_the_second_vocabulary_which_holds_the_first() -> None:
    groups = lit_vocabulary()
    words = {word for group, entries in groups.items() if group != "untrained" for word in entries}
    rng = np.random.default_rng(8)
    for material in drawn():
        caption = write_lit_caption(rng, material, "mug", "side", "environment")
        assert set(re.findall(r"[a-z0-9]+", caption)) <= words, caption
    for group, entries in vocabulary().items():
        assert set(entries) <= words | set(groups["untrained"]), group
    assert not words & set(groups["untrained"])


@pytest.mark.slow
@pytest.mark.parametrize("prompt", ["polished gold", "rusty iron", "matte blue plastic", "wet cobblestone"])
def test_the_prompts_to_be_shown_are_captions(prompt: str) -> None:
    assert prompt in {material.words for material in drawn(6000)}


@pytest.mark.slow
def test_lit_shards_resume(tmp_path: Path) -> None:
    config = LitDataConfig(scenes=3, seed=2, shard=2, render=SMALL)
    generate_lit(tmp_path, config)
    first = load_lit(tmp_path)
    (tmp_path / "0001.json").unlink()
    stamp = (tmp_path / "0000.image.npy").stat().st_mtime_ns
    assert len(load_lit_captions(tmp_path)) == 2 * SMALL.materials
    generate_lit(tmp_path, config)
    again = load_lit(tmp_path)
    assert (tmp_path / "0000.image.npy").stat().st_mtime_ns == stamp
    assert np.array_equal(first.images, again.images)
    assert np.array_equal(first.shading, again.shading)
    assert first.captions == again.captions == load_lit_captions(tmp_path)
    assert again.shading.shape == (9, 32, 32, 9)
    with pytest.raises(FileNotFoundError, match="extend"):
        load_lit(tmp_path / "nowhere")
