# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from blender_addon.uv_measure import charts
from blender_addon.uv_measure.charts import connected, welded


def test_components_agree_with_a_search():
    rng = np.random.default_rng(0)
    for count, pairs in [(1, 0), (50, 20), (200, 150), (300, 600)]:
        first, second = rng.integers(count, size=(2, pairs))
        label = np.arange(count)
        for _ in range(count):  # the slow reference: the lower label wins until all is still
            for a, b in zip(first.tolist(), second.tolist(), strict=True):
                label[a] = label[b] = min(label[a], label[b])
        np.testing.assert_array_equal(connected(count, first, second), np.unique(label, return_inverse=True)[1])


def test_a_long_chain_is_one_component():
    order = np.random.default_rng(1).permutation(20_000)
    assert connected(20_000, order[:-1], order[1:]).max() == 0


def test_equal_positions_become_one():
    positions = np.array([(0, 0, 0), (1, 0, 0), (0, 0, 0), (-0.0, 0, 0), (1, 0, 0), (1, 0, 1e-9)])
    faces = np.array([[0, 1, 5], [2, 3, 4]])
    assert welded(positions, faces).tolist() == [[0, 1, 5], [0, 0, 1]]


@pytest.mark.parametrize("collide", [False, True], ids=["as it is", "one hash for all"])
def test_vertices_at_round_places_are_welded_as_all_others(monkeypatch, collide):
    if collide:
        monkeypatch.setattr(charts, "_position_keys", lambda points: np.zeros(len(points), np.uint64))
    grid = np.stack(np.meshgrid(*[(-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)] * 3), axis=-1).reshape(-1, 3)
    places = np.random.default_rng(0).permutation(np.repeat(np.arange(len(grid)), 4))
    found = welded(grid[places], np.arange(len(places)).reshape(-1, 1)).reshape(-1)
    # One vertex stands for each place, and for no other one.
    assert len(np.unique(found)) == len(grid)
    np.testing.assert_array_equal(places[found], places)
