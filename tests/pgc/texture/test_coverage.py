# SPDX-License-Identifier: Apache-2.0
"""Which texels a view marks as seen."""

from collections.abc import Callable

import torch

from pgc.surface import SurfacePoints
from pgc.texture.coverage import combine_seen, empty_seen, mark_seen
from pgc.texture.mip_fetch import plan_fetch

MakePoints = Callable[..., SurfacePoints]


def _point(make_points: MakePoints, u: float, v: float, texels: float, size: int = 32) -> SurfacePoints:
    uv = torch.tensor([u, v]).reshape(1, 2, 1, 1)
    footprint = torch.tensor([texels / size, 0.0, 0.0, texels / size]).reshape(1, 4, 1, 1)
    return make_points(uv, footprint)


def _coverage(
    views: list[SurfacePoints], *, size: int, tiles: tuple[int, ...] = (1001,), repeat: bool = False
) -> torch.Tensor:
    """The texels that at least one of the views sees, at the mip where it sees them."""
    levels = size.bit_length()
    seen = empty_seen(len(tiles), size, levels)
    for points in views:
        where = (points.uv, points.uv_footprint, points.mask)
        mark_seen(seen, plan_fetch(*where, size=size, levels=(0, levels - 1), tiles=tiles, repeat=repeat))
    return combine_seen(seen)


def test_a_magnified_pixel_marks_the_four_texels_that_it_fetches(make_points: MakePoints) -> None:
    seen = _coverage([_point(make_points, 10.0 / 32, 1.0 - 20.0 / 32, 0.5)], size=32)
    assert sorted(map(tuple, seen[0].nonzero().tolist())) == [(19, 9), (19, 10), (20, 9), (20, 10)]


def test_a_wide_footprint_marks_the_texels_below_its_mip(make_points: MakePoints) -> None:
    seen = _coverage([_point(make_points, 0.5, 0.5, 4.0)], size=32)
    assert int(seen.sum()) == 4 * 16
    assert bool(seen[0, 12:20, 12:20].all())


def test_views_add_up_and_masked_pixels_do_not(make_points: MakePoints) -> None:
    views = [_point(make_points, 0.25, 0.25, 1.0), _point(make_points, 0.75, 0.75, 1.0)]
    both = _coverage(views, size=32)
    assert torch.equal(both, _coverage(views[:1], size=32) | _coverage(views[1:], size=32))
    hidden = make_points(views[0].uv, views[0].uv_footprint, torch.zeros(1, 1, 1, 1, dtype=torch.bool))
    assert not _coverage([hidden], size=32).any()
    assert not _coverage([], size=32).any()


def test_tiles_and_repeat(make_points: MakePoints) -> None:
    points = _point(make_points, 1.5, 0.5, 1.0)
    tiles = _coverage([points], size=32, tiles=(1001, 1002))
    assert not tiles[0].any()
    assert tiles[1].any()
    border = _coverage([_point(make_points, 1.0, 0.5, 0.5)], size=32, repeat=True)
    assert set(border[0].nonzero()[:, 1].tolist()) == {0, 31}
