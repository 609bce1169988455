# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from pgc.guidance.base import Conditions, PromptEmbedding
from tests.benchmarks.shape import (
    CONDITIONS,
    SHAPES,
    ShapeBenchmark,
    TailedOracle,
    differences,
    known_shape,
    run_one,
)
from tests.benchmarks.shape_tables import pictures, shapes

SMALL = ShapeBenchmark(steps=12, views=1, resolution=40, subdivisions=2, cubes=10)


@pytest.mark.parametrize("name", SHAPES)
def test_known_shapes_are_closed_and_fit(name):
    known = known_shape(name)
    assert known.is_watertight
    assert known.volume > 0
    assert 0.5 < abs(known.bounds).max() < 0.85


def test_a_shape_differs_from_itself_by_its_samples_alone_and_from_another_by_more():
    box, torus = known_shape("box"), known_shape("torus")
    same, other = differences(box, box), differences(box, torus)
    assert same["chamfer"] < 0.02 < 0.1 < other["chamfer"]
    assert same["normal_angle"] < 5.0 < other["normal_angle"]


def test_the_noise_has_the_scale_that_is_said_and_a_tail():
    told = []
    for scale in (0.0, 0.1):
        conditions = Conditions(
            prompt=PromptEmbedding(hidden_states=torch.zeros((1, 1, 1))),
            negative=PromptEmbedding(hidden_states=torch.zeros((1, 1, 1))),
            truth_image=torch.full((1, 3, 64, 64), 0.5),
            generator=torch.Generator().manual_seed(0),
        )
        latents = torch.zeros((1, 3, 64, 64))
        told.append(TailedOracle(64, scale).predict_noise(latents, torch.tensor([500]), conditions).cond)
    added = (told[1] - told[0]).abs()
    assert added.median().item() == pytest.approx(0.1, rel=0.1)
    assert added.max() > 100 * added.median()


@pytest.mark.slow
def test_a_small_case_comes_nearer_and_is_told_in_the_table():
    rows = [run_one(SMALL, "box", geometry, "no noise, clipped", 0)[0] for geometry in ("offsets", "dmtet")]
    for row in rows:
        assert row["after"]["chamfer"] < row["before"]["chamfer"]
    told = [{**row, "condition": condition} for row in rows for condition in CONDITIONS]
    text = shapes({"shape": {"rows": told}}.__getitem__)
    before = rows[0]["before"]
    assert f"| offsets: box | 1 | {before['chamfer']:.3f}, {before['normal_angle']:.0f}° |" in text
    assert "| dmtet: mean | 1 |" in text


def test_the_table_of_pictures_has_a_mean_over_seeds():
    score = {"chamfer": 0.1, "normal_angle": 30.0}
    rows = [
        {"object": "box", "half": half, "seed": seed, "before": score, "after": {**score, "chamfer": 0.01 * (1 + seed)}}
        for half in ("both", "teacher alone")
        for seed in range(3)
    ]
    text = pictures({"picture": {"rows": rows}}.__getitem__)
    assert "| box | 3 | 0.100, 30° | 0.020, 30° | 0.020, 30° |" in text
    assert "| mean | 3 |" in text
