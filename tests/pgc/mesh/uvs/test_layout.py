# SPDX-License-Identifier: Apache-2.0
import numpy as np

from pgc.mesh.uvs.layout import arrange_uvs


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
