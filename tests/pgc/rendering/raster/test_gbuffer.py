# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest
import torch

from pgc.rendering.raster.gbuffer import GBuffer, surface_points


def test_select_takes_views_in_order_and_cat_joins_them(buffer):
    views = buffer(4)
    chosen = views.select([2, -4, 2])
    assert len(chosen) == 3
    assert chosen.depth[:, 0, 0, 0].tolist() == [2, 0, 2]
    joined = GBuffer.cat([views.select([3]), views.select([0, 1])])
    assert joined.face_index[:, 0, 0].tolist() == [3, 0, 1]
    for field in dataclasses.fields(joined):
        assert len(getattr(joined, field.name)) == 3, field.name


def test_select_refuses_views_that_are_not_there(buffer):
    with pytest.raises(IndexError, match="View 2 asked of a G-buffer of 2"):
        buffer(2).select([0, 2])


def test_cat_refuses_nothing_and_mixed_sizes(buffer):
    with pytest.raises(ValueError, match="no G-buffer"):
        GBuffer.cat([])
    with pytest.raises(ValueError, match="sizes"):
        GBuffer.cat([buffer(1), buffer(1, height=5)])


def test_bytes_are_those_of_all_channels(buffer):
    # 24 float channels and one int32 of 4 bytes, one bool.
    assert buffer(2).nbytes == 2 * 2 * 3 * (4 * (3 + 2 + 4 + 3 + 3 + 4 + 1 + 1) + 4 + 1)


def test_to_moves_every_tensor(buffer):
    moved = buffer(1).to("meta")
    for field in dataclasses.fields(moved):
        assert getattr(moved, field.name).device == torch.device("meta"), field.name


def test_surface_points_share_the_tensors(buffer):
    views = buffer(2)
    points = surface_points(views)
    for field in dataclasses.fields(points):
        assert getattr(points, field.name) is getattr(views, field.name), field.name
