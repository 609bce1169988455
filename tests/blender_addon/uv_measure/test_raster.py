# SPDX-License-Identifier: Apache-2.0
import numpy as np

from blender_addon.uv_measure import covered_cells


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
