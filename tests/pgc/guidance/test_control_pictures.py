# SPDX-License-Identifier: Apache-2.0
"""The pictures of controls: polarity, ranges, and where lines are."""

from __future__ import annotations

import pytest
import torch

from pgc.guidance.control_pictures import (
    edge_image,
    normal_image,
    official_depth_image,
    shuffled_image,
    tile_image,
)


def test_official_depth_is_that_of_the_official_code() -> None:
    """A vector of PGC-3D's own: depths 1.5, 2, 2.5 at half coverage, and background."""
    depth = torch.tensor([1.5, 2.0, 2.5, 0.0]).reshape(1, 1, 2, 2)
    coverage = torch.tensor([1.0, 1.0, 0.5, 0.0]).reshape(1, 1, 2, 2)
    expected = torch.tensor([0.0, 1 / 3, 2.5 / 3, 1.0]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    torch.testing.assert_close(official_depth_image(depth, coverage), expected)


@pytest.mark.parametrize(
    ("normal", "color"),
    [
        ((0.0, 0.0, 1.0), (0.5, 0.5, 1.0)),
        ((-1.0, 0.0, 0.0), (1.0, 0.5, 0.5)),
        ((1.0, 0.0, 0.0), (0.0, 0.5, 0.5)),
        ((0.0, 1.0, 0.0), (0.5, 1.0, 0.5)),
        ((0.0, -2.0, 0.0), (0.5, 0.0, 0.5)),
    ],
)
def test_normals_are_red_to_the_left_green_above_and_blue_in_front(
    normal: tuple[float, ...], color: tuple[float, ...]
) -> None:
    shown = torch.tensor(normal).reshape(1, 3, 1, 1).expand(1, 3, 2, 2)
    mask = torch.tensor([[True, False], [True, True]])[None, None]
    picture = normal_image(shown, mask)
    torch.testing.assert_close(picture[0, :, 1, 1], torch.tensor(color))
    torch.testing.assert_close(picture[0, :, 0, 1], torch.tensor([0.5, 0.5, 1.0]))


def test_a_tile_is_the_picture_without_its_detail() -> None:
    checks = ((torch.arange(64)[:, None] + torch.arange(64)) % 2).float().expand(1, 3, 64, 64)
    assert float((tile_image(checks) - 0.5).abs().max()) < 1e-6
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    assert float((tile_image(ramp) - ramp).abs().max()) < 0.07
    assert tile_image(torch.rand(2, 3, 5, 7)).shape == (2, 3, 5, 7)


def test_a_shuffled_picture_has_the_colours_and_another_layout() -> None:
    halves = torch.cat([torch.zeros(1, 3, 96, 48), torch.ones(1, 3, 96, 48)], dim=3)
    shuffled = shuffled_image(halves)
    assert torch.equal(shuffled, shuffled_image(halves))
    assert 0.2 < float(shuffled.mean()) < 0.8
    assert float((shuffled - halves).abs().mean()) > 0.2
    assert float(((shuffled > 0.01) & (shuffled < 0.99)).float().mean()) < 0.2, "colours that were not there"


def _plate(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    """A slanted plane in the middle of a picture: its disparity is a straight line."""
    mask = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    mask[..., 2:10, 2:10] = True
    near = torch.linspace(0.4, 0.7, 12).expand(1, 1, 12, 12)
    normal = torch.tensor([0.0, 0.0, 1.0]).reshape(1, 3, 1, 1).expand(1, 3, 12, 12)
    regions = torch.where(mask, 0, -1)
    return {"depth": torch.where(mask, 1 / near, 0.0), "mask": mask, "normal": normal, "regions": regions} | changes


def _inner(lines: torch.Tensor) -> set[tuple[int, int]]:
    return {(int(row), int(column)) for row, column in lines[0, 0, 3:9, 3:9].nonzero() + 3}


def test_a_slanted_plane_has_its_silhouette_and_nothing_else() -> None:
    lines = edge_image(**_plate())
    assert set(lines.unique().tolist()) == {0.0, 1.0}
    assert not _inner(lines)
    ring = torch.zeros(12, 12)
    ring[2:10, 2:10] = 1.0
    ring[3:9, 3:9] = 0.0
    assert torch.equal(lines[0, 0], ring)
    assert torch.equal(lines[0, 0], lines[0, 2])


def test_borders_of_materials_sharp_edges_and_steps_are_lines() -> None:
    plate = _plate()
    regions = plate["regions"].clone()
    regions[..., 2:10, 6:10] = 1
    found = _inner(edge_image(**_plate(regions=regions)))
    assert {column for _, column in found} == {6}, "the nearer side, which is the right one"
    assert len(found) == 6

    normal = plate["normal"].clone()
    normal[..., 5:, :] = torch.tensor([0.0, 0.8, 0.6]).reshape(1, 3, 1, 1)
    assert len({row for row, _ in _inner(edge_image(**_plate(normal=normal)))}) == 1

    depth = plate["depth"].clone()
    depth[..., 2:10, 6:10] *= 1.5
    found = _inner(edge_image(**_plate(depth=depth)))
    assert {column for _, column in found} == {5}, "the nearer side of a step"
    barely = plate["depth"].clone()
    barely[..., 2:10, 6:10] *= 1.001
    assert not _inner(edge_image(**_plate(depth=barely)))
