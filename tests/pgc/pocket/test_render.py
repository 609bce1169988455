# SPDX-License-Identifier: Apache-2.0
"""The training renders: repeatable, labelled truthfully, and legible."""

import re
from pathlib import Path

import numpy as np
import pytest

from pgc.pocket.data.captions import vocabulary
from pgc.pocket.data.dataset import DataConfig, generate, load
from pgc.pocket.data.materials import MATERIALS, MaterialName, sample_material, shade_points
from pgc.pocket.data.palette import COLORS
from pgc.pocket.data.render import RenderConfig, render_sample, view_name
from pgc.pocket.data.shapes import Primitive, Shape, distance, normals

SMALL = RenderConfig(size=32)


def test_sample_depends_on_index_and_seed_only() -> None:
    first, again, other = (render_sample(5, seed, SMALL) for seed in (1, 1, 2))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.depth, again.depth)
    assert first.caption == again.caption
    assert not np.array_equal(first.image, other.image)


def test_sample_is_consistent() -> None:
    sample = render_sample(40, 3, SMALL)
    assert sample.image.shape == (32, 32, 3)
    assert sample.image.dtype == np.uint8
    assert sample.color == COLORS[40 % len(COLORS)]
    assert sample.material == MATERIALS[40 // len(COLORS)]
    assert np.array_equal(sample.mask, sample.depth > 0)
    # The nearest a shape within 0.8 of the middle can come to a camera 2 to 2.5 away, and the farthest.
    inside = sample.depth[sample.mask]
    assert inside.min() > 0.6
    assert inside.max() < 3.9


@pytest.mark.slow
def test_every_caption_word_is_in_the_vocabulary() -> None:
    known = vocabulary()
    words = {word for group, entries in known.items() if group != "untrained" for word in entries}
    for index in range(0, 132, 4):
        caption = render_sample(index, 11, SMALL).caption
        assert set(re.findall(r"[a-z0-9]+", caption)) <= words, caption


@pytest.mark.parametrize(
    ("elevation", "azimuth", "expected"),
    [(0, 0, "front"), (0, 44, "front"), (0, 46, "side"), (0, 180, "back"), (0, 270, "side"), (0, 316, "front"),
     (61, 0, "overhead"), (-46, 180, "underside"), (59, 180, "back")],
)  # fmt: skip
def test_view_words(elevation: float, azimuth: float, expected: str) -> None:
    assert view_name(np.radians(elevation), np.radians(azimuth)) == expected


def _sphere_points(count: int = 4000) -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(count, 3))
    return (points / np.linalg.norm(points, axis=-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("material", MATERIALS)
def test_material_is_a_pure_function_with_contrast(material: MaterialName) -> None:
    normal = _sphere_points()
    params = sample_material(np.random.default_rng(4), "blue", material)
    colors = shade_points(params, normal * 0.7, normal)
    assert colors.shape == normal.shape
    assert colors.dtype == np.float32
    assert colors.min() >= 0.0
    assert colors.max() <= 1.0
    assert np.array_equal(colors[:100], shade_points(params, normal[:100] * 0.7, normal[:100]))
    contrast = colors.mean(-1).std()
    assert contrast < 1e-6 if material == "plain" else contrast > 0.05


def test_white_and_black_checkers_differ_in_brightness() -> None:
    normal = _sphere_points()
    means = [
        shade_points(sample_material(np.random.default_rng(1), color, "checker"), normal, normal).mean()
        for color in ("white", "black")
    ]
    assert means[0] - means[1] > 0.25


def test_sphere_distance_and_normal() -> None:
    sphere = Shape("sphere", (Primitive("ellipsoid", (0.5, 0.5, 0.5)),))
    points = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.5]], np.float32)
    assert distance(sphere, points) == pytest.approx([0.5, 0.0], abs=1e-5)
    assert normals(sphere, points) == pytest.approx(np.array([[1, 0, 0], [0, 0, 1]]), abs=2e-3)


@pytest.mark.slow
def test_shards_resume(tmp_path: Path) -> None:
    config = DataConfig(count=5, seed=2, shard=2, render=SMALL)
    generate(tmp_path, config)
    first = load(tmp_path)
    (tmp_path / "0001.json").unlink()
    stamp = (tmp_path / "0000.image.npy").stat().st_mtime_ns
    generate(tmp_path, config)
    again = load(tmp_path)
    assert (tmp_path / "0000.image.npy").stat().st_mtime_ns == stamp
    assert np.array_equal(first.images, again.images)
    assert first.captions == again.captions
    assert again.images.shape == (5, 32, 32, 3)
    assert len(again.colors) == 5
