# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from blender_addon.uv_measure import density_picture, measure_uvs
from tests.blender_addon.uv_measure.layouts import Surface, crossed, full, screws

FULL = full()


def drawn(surface, size=64):
    arrays = surface.arrays()
    measure, faces = measure_uvs(*arrays, grid=256)
    return density_picture(arrays[2], faces, measure.density_median, size)


@pytest.mark.slow
def test_the_picture_shows_where_texels_are_shared_and_row_0_is_the_top():
    picture = drawn(crossed())
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    red = (picture == (214, 39, 40)).all(axis=2)
    free = (picture == (38, 38, 42)).all(axis=2)
    assert red[40:60, 5:55].any()
    assert free[:20].all(), "both plates lie in the lower half"
    assert not (drawn(Surface().box()) == (214, 39, 40)).all(axis=2).any()
    assert (drawn(screws()) == (250, 220, 80)).all(axis=2).any()


def test_dense_parts_are_greener_and_coarse_ones_bluer():
    surface = Surface()
    for number, side in enumerate((0.4, 0.2, 0.05)):
        surface.quad(FULL @ np.eye(2, 3) + 3 * number, FULL * side + (0.45 * (number % 2), 0.45 * (number // 2)))
    picture = drawn(surface, 200).astype(int)
    fine, even, coarse = picture[160, 40], picture[170, 110], picture[105, 4]
    assert fine[1] > fine[0]
    assert coarse[2] > coarse[0]
    assert abs(even[0] - even[2]) < 10


@pytest.mark.slow
def test_a_layout_too_big_to_draw_whole_is_drawn_in_part(monkeypatch):
    whole = (drawn(screws(4)) == (250, 220, 80)).all(axis=2)
    monkeypatch.setattr("blender_addon.uv_measure.picture._MAX_CANDIDATES", 8000)
    part = (drawn(screws(4)) == (250, 220, 80)).all(axis=2)
    assert 0 < part.sum() <= whole.sum()
