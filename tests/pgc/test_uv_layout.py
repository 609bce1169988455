# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from pgc.uv_layout import arrange_uvs, covered_cells, overlap_fraction


def square(u, v, size=1.0):
    """Two triangles of a square."""
    a, b, c, d = (u, v), (u + size, v), (u + size, v + size), (u, v + size)
    return np.array([[a, b, c], [a, c, d]], dtype=np.float32)


def layout(*squares):
    uvs = np.concatenate(squares)
    return arrange_uvs(uvs, np.repeat(np.arange(len(squares), dtype=np.int32), 2)), uvs


def test_one_tile_stays():
    got, uvs = layout(square(0.0, 0.0, 0.5), square(0.5, 0.5, 0.5))
    assert set(got.face_tiles.tolist()) == {1001}
    np.testing.assert_array_equal(got.corner_uvs, uvs)
    assert (got.out_of_range_fraction, got.needs_repeat) == (0.0, False)


def test_udim_tiles_are_numbered_by_column_and_row():
    got, uvs = layout(square(0, 0), square(1.1, 0.1, 0.5), square(9.0, 0.0), square(2.25, 1.25, 0.5))
    assert got.face_tiles.tolist() == [1001, 1001, 1002, 1002, 1010, 1010, 1013, 1013]
    np.testing.assert_array_equal(got.corner_uvs, uvs)


def test_charts_outside_move_by_whole_units():
    got, uvs = layout(square(0.25, 0.25, 0.5), square(-0.75, 3.25, 0.5))
    np.testing.assert_array_equal(got.corner_uvs[:2], uvs[:2])
    np.testing.assert_array_equal(got.corner_uvs[2:], square(0.25, 0.25, 0.5))
    assert set(got.face_tiles.tolist()) == {1001}
    assert (got.out_of_range_fraction, got.needs_repeat) == (0.5, False)


def test_charts_that_do_not_fit_ask_for_repeat():
    got, _ = layout(square(0.0, 0.0, 4.0))
    assert got.needs_repeat
    assert got.out_of_range_fraction == 1.0
    np.testing.assert_array_equal(np.unique(got.corner_uvs % 1.0), [0.0])


def test_rounding_at_the_edge_is_no_other_tile():
    got, _ = layout(square(-1e-6, -1e-6, 1.000002))
    assert got.face_tiles.tolist() == [1001, 1001]
    assert got.out_of_range_fraction == 0.0


@pytest.mark.parametrize(
    ("squares", "expected"),
    [
        ([square(0, 0, 0.5), square(0.5, 0.5, 0.5)], 0.0),
        ([square(0, 0, 0.5), square(0, 0, 0.5)], 1.0),
        ([square(0, 0, 0.5), square(0.25, 0, 0.5)], 1 / 3),
        ([square(0, 0, 0.5), square(0, 0, 0.5)[:, ::-1]], 1.0),  # mirrored
        ([square(0, 0), square(1, 0)], 0.0),  # two tiles
        ([square(0, 0, 0.5), square(-1.0, 0, 0.5)], 0.0),
        ([square(0, 0, 1e9)], 0.0),
        ([np.zeros((2, 3, 2), dtype=np.float32)], 0.0),
    ],
)
def test_overlap_is_the_shared_part_of_the_used_area(squares, expected):
    assert overlap_fraction(np.concatenate(squares)) == pytest.approx(expected, abs=0.01)


def test_a_fine_grid_of_neighbours_does_not_overlap():
    n = 64
    squares = np.concatenate([square(i / n, j / n, 1 / n) for i in range(n) for j in range(n)])
    assert overlap_fraction(squares) == 0.0


def test_a_layout_too_big_for_the_fine_grid_is_still_measured(monkeypatch):
    squares = np.concatenate([square(0, 0)] * 10 + [square(1, 0)] * 10)
    monkeypatch.setattr("pgc.uv_layout._MAX_CANDIDATES", 100_000)
    monkeypatch.setattr("pgc.uv_layout._CHUNK", 5_000)
    assert overlap_fraction(squares) == pytest.approx(1.0, abs=0.01)
    assert overlap_fraction(squares[::20]) == 0.0


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
