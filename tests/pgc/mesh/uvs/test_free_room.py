# SPDX-License-Identifier: Apache-2.0
"""Room that is taken in a layout: all that triangles touch, in bounded time however often their UVs repeat."""

import time

import numpy as np
import pytest

from blender_addon.uv_measure import free_room
from blender_addon.uv_measure.free_room import place_charts, taken_cells

SECONDS = 10.0
"""Far more than it takes, and far less than each cell of hundreds of tiles would."""


def triangles(seed, count, reach):
    """Triangles [F, 3, 2] that lie anywhere; every other one is thin."""
    draws = np.random.default_rng(seed)
    corners = draws.uniform(-reach, reach, (count, 1, 2)) + draws.uniform(-1.0, 1.0, (count, 3, 2)) * reach
    corners[::2, 2] = corners[::2, 1] + 1e-4
    return corners


def points_on(corners, count):
    """The cells of many points of the triangles, by brute force."""
    draws = np.random.default_rng(1)
    weights = draws.dirichlet((0.5, 0.5, 0.5), (len(corners), count))
    places = np.floor((weights @ corners) * 512).astype(np.int64) % 512
    return places[..., 1], places[..., 0]


@pytest.mark.parametrize("reach", [0.2, 3.0])
@pytest.mark.parametrize("budget", [16_000_000, 20_000])
def test_all_that_triangles_touch_is_taken_in_a_coarser_grid_too(monkeypatch, reach, budget):
    monkeypatch.setattr(free_room, "_MOST_CELLS", budget)
    corners = triangles(0, 6, reach)
    assert taken_cells(corners)[points_on(corners, 4000)].all()


def test_what_is_small_leaves_the_rest_free():
    assert taken_cells(triangles(0, 6, 0.05)).mean() < 0.2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("reach", [7e6, 2e7, 1e10, 1e15, 1e30])
def test_uvs_that_run_to_any_place_end_too(reach):
    """Above 2**63 cells a product of whole numbers comes round to a small one."""
    corners = np.array([[[0.0, 0.0], [reach, 0.0], [0.0, reach]]])
    assert taken_cells(corners).all()
    assert place_charts(np.array([[0.0, 0.0], [reach, reach]]), np.array([0, 0]), np.zeros((512, 512), bool)) is None


@pytest.mark.parametrize("count", [40, 3000])
def test_uvs_that_repeat_hundreds_of_times_end_soon(count):
    start = time.perf_counter()
    assert taken_cells(triangles(0, count, 220.0)).all()
    assert time.perf_counter() - start < SECONDS
