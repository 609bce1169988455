# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from blender_addon.uv_measure import covered_cells
from blender_addon.uv_measure.raster import SAMPLE, candidate_counts


@pytest.mark.slow
def test_covered_cells_agree_with_the_slow_reference():
    triangles = np.random.default_rng(1).uniform(-3, 9, (40, 3, 2))
    face, cell = covered_cells(triangles)
    got = set(zip(face.tolist(), map(tuple, cell.tolist()), strict=True))
    expected = set()
    for number, corners in enumerate(triangles):
        for row in range(-4, 10):
            for column in range(-4, 10):
                point = np.array([column + 0.5137, row + 0.4861])
                weights = np.linalg.solve(np.vstack([corners.T, np.ones(3)]), np.array([*point, 1.0]))
                if weights.min() > 0:
                    expected.add((number, (column, row)))
    missing = expected ^ got
    assert len(missing) <= 3, "only points on an edge may differ"
    assert len(expected) > 100


def test_a_fine_grid_of_neighbours_never_shares_a_cell():
    n = 64
    a, b = np.meshgrid(np.arange(n) / n, np.arange(n) / n)
    low = np.stack([a, b], axis=2).reshape(-1, 2)
    corners = [low + np.array(corner) / n for corner in ((0, 0), (1, 0), (1, 1), (0, 1))]
    triangles = np.concatenate([np.stack([corners[i] for i in which], axis=1) for which in ((0, 1, 2), (0, 2, 3))])
    _, cells = covered_cells(triangles * 256)
    assert len(np.unique(cells, axis=0)) == len(cells) > 60_000


def looked_at_each(triangles):
    """Every cell of the box around all triangles is tested against each edge: the same products, one by one."""
    low, high = (
        np.floor(triangles.min(axis=(0, 1))).astype(int) - 1,
        np.ceil(triangles.max(axis=(0, 1))).astype(int) + 1,
    )
    row, column = (axis.reshape(-1) for axis in np.mgrid[low[1] : high[1], low[0] : high[0]])
    points = np.stack([column, row], axis=1) + SAMPLE
    found = []
    for number, corners in enumerate(triangles):
        (ax, ay), (bx, by) = corners[1] - corners[0], corners[2] - corners[0]
        area = ax * by - ay * bx
        inside = np.full(len(points), abs(area) > 1e-12)
        for start, stop in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            (x, y), offset = (stop - start) * (-1.0 if area < 0 else 1.0), points - start
            inside &= x * offset[:, 1] - y * offset[:, 0] > 1e-3 * np.hypot(x, y)
        found += [(number, c, r) for c, r in zip(column[inside].tolist(), row[inside].tolist(), strict=True)]
    return found


def near(random, count, size):
    return random.uniform(0, 50, (count, 1, 2)) + random.normal(size=(count, 3, 2)) * size


KINDS = {
    "small": lambda random: near(random, 60, 0.7),
    "middling": lambda random: near(random, 30, 4.0),
    "large": lambda random: near(random, 8, 25.0),
    "on the lattice": lambda random: near(random, 30, 5.0).round(),
    "edges through sample points": lambda random: near(random, 30, 5.0).round() + SAMPLE,
    "left of the texture and below it": lambda random: near(random, 20, 5.0) - 60.0,
    "flat as a line": lambda random: near(random, 20, 9.0) * (1.0, 1e-9) + (0.0, 7.0 + SAMPLE[1]),
    "edges that are all but level": lambda random: (
        near(random, 20, 9.0).round() + random.normal(size=(20, 3, 2)) * 1e-12
    ),
    "an edge that rises by the least there is": lambda random: np.array([[[0, 0], [9, 5e-324], [3, 3]]]),
    "without area": lambda random: near(random, 20, 9.0)[:, [0, 1, 0]],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_has_the_cells_that_are_found_one_by_one(kind):
    triangles = KINDS[kind](np.random.default_rng(5))
    face, cell = covered_cells(triangles)
    assert list(zip(face.tolist(), *cell.T.tolist(), strict=True)) == looked_at_each(triangles)


def test_counts_of_cells_never_come_round_and_a_small_triangle_far_away_stays_small():
    wide = np.array([[[0.0, 0.0], [size, 0.0], [0.0, size]] for size in (40.0, 4e9, 1e12, 1e200)])
    assert candidate_counts(wide)[1].tolist() == [40 * 40, *[2**36] * 3]
    away = wide[:1] + 2.0**45
    first, counts = candidate_counts(away)
    assert (first - 2**45).tolist() == [[0, 0]]
    assert counts.tolist() == [40 * 40]
    assert len(covered_cells(away)[0]) == len(covered_cells(wide[:1])[0])
