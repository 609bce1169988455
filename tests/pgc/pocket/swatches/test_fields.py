# SPDX-License-Identifier: Apache-2.0
"""Noise and cells: what they promise of mean, spread, repetition and exactness."""

import numpy as np
import pytest

from pgc.pocket.swatches.fields import cells, fractal, hashed, noise, ramp, ridges, share, warped


def points(count: int = 4000, reach: float = 40.0, dimensions: int = 3) -> np.ndarray:
    return np.random.default_rng(3).uniform(-reach, reach, (count, dimensions)).astype(np.float32)


@pytest.mark.parametrize("octaves", [1, 4])
def test_noise_is_a_standard_normal(octaves: int) -> None:
    values = fractal(points(20_000), 5, octaves)
    assert abs(values.mean()) < 0.08
    assert values.std() == pytest.approx(1.0, abs=0.12)
    assert share(values).mean() == pytest.approx(0.5, abs=0.03)


def test_noise_depends_on_point_and_seed_alone() -> None:
    at = points()
    assert np.array_equal(noise(at, 9)[:50], noise(at[:50], 9))
    assert abs(np.corrcoef(noise(at, 9), noise(at, 10))[0, 1]) < 0.1


def test_noise_is_continuous_and_not_flat() -> None:
    line = np.zeros((2001, 3), np.float32)
    line[:, 0] = np.linspace(-30.0, 30.0, 2001)
    values = noise(line, 4)
    assert np.abs(np.diff(values)).max() < 0.25
    # About one feature a unit: it changes sign some 30 to 90 times on 60 units.
    assert 25 < (np.diff(np.sign(values)) != 0).sum() < 110


@pytest.mark.parametrize("dimensions", [2, 3])
def test_cells_agree_with_all_sites_tried(dimensions: int) -> None:
    """The slow reference tries every site of the neighbourhood; the border is halfway to the second nearest."""
    from pgc.pocket.data.noise import hash_lattice

    at = points(200, 3.0, dimensions)
    found = cells(at, 7)
    keys = np.stack(np.meshgrid(*[np.arange(-7, 8)] * dimensions, indexing="ij"), -1).reshape(-1, dimensions)
    offsets = np.stack([hash_lattice(keys, 7, channel) for channel in range(dimensions)], -1)
    sites = keys + 0.5 + 0.8 * (offsets - 0.5)
    distances = np.linalg.norm(at[:, None] - sites[None], axis=-1)
    order = np.argsort(distances, axis=-1)[:, :2]
    nearest, second = (distances[np.arange(len(at)), order[:, rank]] for rank in (0, 1))
    assert found.first == pytest.approx(nearest, abs=1e-4)
    assert np.array_equal(found.keys, keys[order[:, 0]])
    between = np.linalg.norm(sites[order[:, 0]] - sites[order[:, 1]], axis=-1)
    assert found.border == pytest.approx((second**2 - nearest**2) / (2.0 * between), abs=1e-3)


def test_cells_do_not_depend_on_the_batch() -> None:
    at = points(300, 5.0)
    few, all_ = cells(at[:3], 7), cells(at, 7)
    assert np.array_equal(few.keys, all_.keys[:3])
    assert np.array_equal(few.value(1), all_.value(1)[:3])


def test_small_functions() -> None:
    assert ramp(np.array([0.0, 0.5, 1.0]), 0.5, 0.5).tolist() == [0.0, 0.5, 1.0]
    assert share(np.zeros(1))[0] == pytest.approx(0.5)
    assert (hashed(3, 5) != hashed(4, 5)).any()
    lines = ridges(points(5000), 1)
    assert 0.0 <= lines.min() < lines.max() <= 1.0
    moved = warped(points(500, 9.0, 2), 1, 0.1) - points(500, 9.0, 2)
    assert 0.01 < np.abs(moved).mean() < 0.2
