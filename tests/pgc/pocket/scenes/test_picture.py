# SPDX-License-Identifier: Apache-2.0
"""The training pictures: repeatable, with a truth that explains them, and shards that go on where they stopped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pgc.pocket.data.render import RenderConfig
from pgc.pocket.scenes.picture import SEEDS, SceneConfig, ScenePicture, render_scene
from pgc.pocket.scenes.shards import SceneSetConfig, load_scenes, make_scenes
from pgc.pocket.scenes.sheet import contact_sheet
from pgc.pocket.swatches.catalog import RECIPES
from pgc.pocket.swatches.draw import substance
from pgc.rendering.environment import studio
from pgc.rendering.light import Light
from pgc.rendering.prefilter import prefilter

SMALL = SceneConfig(render=RenderConfig(size=32, focal=(0.95, 1.6)), materials=2, environments=1)


def pictures(config: SceneConfig, count: int = 4) -> list[ScenePicture]:
    return [picture for scene in range(count) for picture in render_scene(scene, "train", config)]


@pytest.mark.slow
def test_a_scene_depends_on_its_number_and_the_set_only() -> None:
    first, again, other = (render_scene(3, split, SMALL) for split in ("train", "train", "test"))
    assert len(first) == SMALL.materials
    for a, b in zip(first, again, strict=True):
        for part in ("image", "depth", "shading", "truth"):
            assert np.array_equal(getattr(a, part), getattr(b, part))
        assert a.caption == b.caption
    assert not np.array_equal(first[0].image, other[0].image)
    assert len(set(SEEDS.values())) == 3


@pytest.mark.slow
def test_flat_pictures_show_the_true_base_colour() -> None:
    for picture in pictures(replace(SMALL, flat_share=1.0)):
        assert picture.flat
        assert "flat lighting" in picture.caption
        assert not picture.shading.any()
        inside = picture.depth > 0
        # The silhouette's pixels are part background; the light of flat pictures takes an eighth away at most.
        error = np.abs(picture.image.astype(int) - picture.truth[..., :3])[inside].max(-1)
        assert np.median(error) < 26
        assert not picture.truth[~inside].any()


@pytest.mark.slow
def test_lit_pictures_tell_their_light() -> None:
    for picture in pictures(replace(SMALL, flat_share=0.0)):
        assert not picture.flat
        inside = picture.depth > 0
        assert picture.shading[inside].any(axis=-1).all()


@pytest.mark.slow
def test_relief_shows_in_the_light(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same scene without heights is another picture; base colour and shading are the same."""
    from pgc.pocket.scenes import picture as module

    config = replace(SMALL, flat_share=0.0, materials=3)
    raised = pictures(config, 2)
    original = module.drawn_values
    monkeypatch.setattr(module, "drawn_values", lambda *a: replace(v := original(*a), height=np.zeros_like(v.height)))
    level = pictures(config, 2)
    changed = [np.abs(a.image.astype(int) - b.image).max() > 12 for a, b in zip(raised, level, strict=True)]
    assert sum(changed) >= 2
    for a, b in zip(raised, level, strict=True):
        assert np.array_equal(a.truth, b.truth)
        assert np.array_equal(a.shading, b.shading)


@pytest.mark.slow
def test_shards_go_on(tmp_path: Path) -> None:
    config = SceneSetConfig(scenes=3, shard=2, scene=SMALL)
    make_scenes(tmp_path, config)
    first = load_scenes(tmp_path)
    assert first.count == 6
    assert first.place(0) == (0, 0)
    assert first.place(5) == (1, 1)
    with pytest.raises(IndexError, match="the set has 6"):
        first.place(6)
    stamp = (tmp_path / "0000.image.npy").stat().st_mtime_ns
    kept = np.array(first.images[1])
    (tmp_path / "0001.json").unlink()
    make_scenes(tmp_path, config)
    assert (tmp_path / "0000.image.npy").stat().st_mtime_ns == stamp
    assert np.array_equal(load_scenes(tmp_path).images[1], kept)
    assert load_scenes(tmp_path).labels == first.labels


def test_no_shards_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"pgc\.pocket\.scenes data"):
        load_scenes(tmp_path)


@pytest.mark.slow
def test_a_sheet_shows_every_look() -> None:
    rng = np.random.default_rng(1)
    rows = [(recipe, [substance(rng, recipe, 0.0).look for _ in range(2)]) for recipe in RECIPES[:3]]
    light = Light(environment=prefilter(studio()), rotation=0.5, exposure=0.0)
    sheet = contact_sheet(rows, light, 24, columns=2)
    assert sheet.size == (2 * 3 * 24, 2 * (24 + 14))
    pixels = np.asarray(sheet)
    assert len({pixels[12, left + 12].tobytes() for left in (0, 24, 48, 72, 96, 120)}) >= 5
