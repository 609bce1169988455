# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from pgc.cameras.sampling import PaperCameraSampler, PaperSamplerConfig, SphereCameraSampler, SphereSamplerConfig
from pgc.errors import ConfigError


def positions(cameras) -> np.ndarray:
    return np.stack([camera.position for camera in cameras]).astype(np.float64)


def assert_fills(values: np.ndarray, low: float, high: float) -> None:
    """All inside, and close to uniform: the ends are reached and the mean is in the middle."""
    margin = 0.02 * (high - low)
    assert values.min() >= low - 1e-5
    assert values.max() <= high + 1e-5
    assert values.min() < low + margin
    assert values.max() > high - margin
    assert abs(values.mean() - (low + high) / 2) < 2 * margin


@pytest.mark.slow
@pytest.mark.parametrize("sampler", [PaperCameraSampler(), SphereCameraSampler()])
def test_lens_and_distance_are_the_papers(sampler):
    cameras = sampler.sample(1500, np.random.default_rng(1))
    assert_fills(np.array([camera.projection[1, 1] / 2 for camera in cameras]), 0.7, 1.35)
    assert_fills(np.linalg.norm(positions(cameras), axis=1), 2.0, 2.5)


@pytest.mark.slow
def test_the_papers_angles():
    points = positions(PaperCameraSampler().sample(1500, np.random.default_rng(2)))
    assert_fills(np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))), -10.0, 45.0)
    assert_fills(np.degrees(np.arctan2(points[:, 1], points[:, 0])), -180.0, 180.0)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 3])
def test_each_view_alone_is_uniform_over_the_sphere(batch):
    generator = np.random.default_rng(4)
    sampler = SphereCameraSampler()
    points = np.concatenate([positions(sampler.sample(batch, generator)) for _ in range(1200 // batch)])
    directions = points / np.linalg.norm(points, axis=1, keepdims=True)
    assert np.abs(directions.mean(axis=0)).max() < 0.06
    for axis in range(3):  # Archimedes: each coordinate of a uniform direction is uniform in [-1, 1]
        assert_fills(directions[:, axis], -1.0, 1.0)


def test_a_batch_leaves_no_side_unseen():
    generator = np.random.default_rng(5)
    anywhere = generator.normal(size=(500, 3))
    anywhere /= np.linalg.norm(anywhere, axis=1, keepdims=True)

    def worst_gap(points: np.ndarray) -> float:
        points = points / np.linalg.norm(points, axis=1, keepdims=True)
        return float(np.degrees(np.arccos((anywhere @ points.T).max(axis=1).min())))

    stratified = [worst_gap(positions(SphereCameraSampler().sample(12, generator))) for _ in range(20)]
    independent = [worst_gap(generator.normal(size=(12, 3))) for _ in range(20)]
    assert np.mean(stratified) < np.mean(independent) - 10
    assert max(stratified) < 75


@pytest.mark.parametrize("sampler", [PaperCameraSampler(), SphereCameraSampler()])
def test_cameras_follow_the_generator_and_look_at_the_origin(sampler):
    first, second = (sampler.sample(3, np.random.default_rng(7)) for _ in range(2))
    assert [camera.key() for camera in first] == [camera.key() for camera in second]
    other = sampler.sample(3, np.random.default_rng(8))
    assert {camera.key() for camera in first}.isdisjoint(camera.key() for camera in other)
    for camera in first:
        assert camera.project(np.zeros((1, 3)))[0, :2] == pytest.approx([0, 0], abs=1e-5)
    assert sampler.sample(0, np.random.default_rng(7)) == []


@pytest.mark.parametrize(
    ("sampler", "config"),
    [(PaperCameraSampler, PaperSamplerConfig), (SphereCameraSampler, SphereSamplerConfig)],
)
def test_jitter_moves_the_target_alone(sampler, config):
    plain, moved = (sampler(config(look_at_jitter=jitter)).sample(4, np.random.default_rng(9)) for jitter in (0.0, 0.2))
    assert positions(plain) == pytest.approx(positions(moved), abs=1e-5)
    offsets = [np.abs(camera.project(np.zeros((1, 3)))[0, :2]).max() for camera in moved]
    assert 0.001 < max(offsets) < 0.5


def test_the_aspect_is_passed_on():
    camera = SphereCameraSampler(SphereSamplerConfig(aspect=2.0)).sample(1, np.random.default_rng(0))[0]
    assert camera.aspect == 2.0
    assert camera.projection[1, 1] == pytest.approx(2 * camera.projection[0, 0])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"focal": (0.0, 1.0)}, "focal"),
        ({"distance": (2.5, 2.0)}, "distance"),
        ({"elevation": (-2.0, 0.0)}, "elevation"),
        ({"azimuth": (0.0, math.inf)}, "azimuth"),
        ({"look_at_jitter": 1.5}, "look_at_jitter"),
        ({"aspect": 0.0}, "aspect"),
    ],
)
def test_ranges_that_give_no_camera_are_refused(values, words):
    with pytest.raises(ConfigError, match=words):
        PaperSamplerConfig(**values)
    if next(iter(values)) not in ("elevation", "azimuth"):
        with pytest.raises(ConfigError, match=words):
            SphereSamplerConfig(**values)
