# SPDX-License-Identifier: Apache-2.0
"""Lenses get longer in stages, close-ups are of parts, and a name gives the cameras that it means."""

from __future__ import annotations

import re
from typing import get_args

import numpy as np
import pytest

from pgc.cameras import Camera
from pgc.cameras.named import RigName, build_cameras, cameras_named
from pgc.cameras.sampling import PaperSamplerConfig, SphereCameraSampler, SphereSamplerConfig
from pgc.cameras.staged import (
    CloseUpCameraSampler,
    CloseUpSamplerConfig,
    ProgressingSampler,
    StagedCameraSampler,
    StagedSamplerConfig,
)
from pgc.errors import ConfigError

PRESET = SphereSamplerConfig(focal=(1.35, 1.6))


def drawn(sampler: object, count: int = 200, seed: int = 3) -> list[Camera]:
    return sampler.sample(count, np.random.default_rng(seed))  # type: ignore[attr-defined]


def focal(camera: Camera) -> float:
    return float(camera.projection[1, 1]) / 2.0


def elevation(camera: Camera) -> float:
    eye = np.linalg.inv(camera.world_to_camera)[:3, 3]
    return float(np.degrees(np.arcsin(eye[2] / np.linalg.norm(eye))))


@pytest.mark.parametrize(
    ("progress", "low", "high"),
    [(0.0, 0.7, 1.35), (0.299, 0.7, 1.35), (0.3, 0.85, 1.475), (0.6, 1.0, 1.6), (0.999, 1.0, 1.6)],
)
def test_each_stage_has_its_lenses(progress: float, low: float, high: float) -> None:
    sampler = StagedCameraSampler()
    assert isinstance(sampler, ProgressingSampler)
    sampler.set_progress(progress)
    cameras = drawn(sampler)
    focals = [focal(camera) for camera in cameras]
    assert low <= min(focals) < low + 0.05
    assert high - 0.05 < max(focals) <= high + 1e-6
    assert -10.01 <= min(map(elevation, cameras)) < max(map(elevation, cameras)) <= 45.01, "the belt"


def test_a_stage_depends_on_the_progress_and_on_nothing_before() -> None:
    there, back = StagedCameraSampler(), StagedCameraSampler()
    back.set_progress(0.9)
    back.set_progress(0.1)
    assert all(np.array_equal(a.projection, b.projection) for a, b in zip(drawn(there), drawn(back), strict=True))


def test_close_ups_are_larger_and_elsewhere_and_the_others_stay() -> None:
    config = CloseUpSamplerConfig(around=PRESET)
    whole, mixed = drawn(SphereCameraSampler(PRESET), 1000), drawn(CloseUpCameraSampler(config), 1000)
    pairs = list(zip(whole, mixed, strict=True))
    near = [(a, b) for a, b in pairs if not np.array_equal(a.world_to_camera, b.world_to_camera)]
    assert 0.25 < len(near) / len(pairs) < 0.35
    for before, after in near:
        assert 1.5 - 1e-4 <= focal(after) / focal(before) <= 2.5 + 1e-4
        eyes = [np.linalg.inv(camera.world_to_camera)[:3, 3] for camera in (before, after)]
        assert np.allclose(*eyes, atol=1e-5), "from the same place"
        spot = after.world_to_camera @ np.array([0.0, 0.0, 0.0, 1.0])
        assert not np.allclose(spot[:2], 0.0, atol=1e-3), "the middle is not what it looks at"
    untouched = [focal(b) for a, b in pairs if np.array_equal(a.world_to_camera, b.world_to_camera)]
    assert max(untouched) <= 1.6 + 1e-6


@pytest.mark.parametrize("name", get_args(RigName))
def test_a_name_gives_cameras_that_draw(name: RigName) -> None:
    config = cameras_named(name, PRESET)
    assert len(drawn(build_cameras(config), count=5)) == 5


def test_names_keep_the_presets_lens_where_it_goes_with_them() -> None:
    assert cameras_named("sphere", PRESET) == PRESET
    assert cameras_named("close-ups", PRESET) == CloseUpSamplerConfig(around=PRESET)
    assert cameras_named("paper", PRESET) == PaperSamplerConfig()
    assert cameras_named("stages", PRESET) == StagedSamplerConfig()
    assert cameras_named("sphere", PaperSamplerConfig()) == SphereSamplerConfig()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: StagedSamplerConfig(stages=()), "stages that end at []"),
        (lambda: StagedSamplerConfig(stages=((0.5, (1.0, 1.0)),)), "stages that end at [0.5]"),
        (lambda: StagedSamplerConfig(stages=((1.0, (1.0, 1.0)), (0.5, (1.0, 1.0)))), "rising shares"),
        (lambda: CloseUpSamplerConfig(share=1.5), "share 1.5"),
        (lambda: CloseUpSamplerConfig(zoom=(0.5, 2.0)), "zoom range (0.5, 2.0)"),
        (lambda: CloseUpSamplerConfig(spread=1.2), "spread 1.2"),
    ],
)
def test_what_is_impossible_is_refused(make: object, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        make()  # type: ignore[operator]
