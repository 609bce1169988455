# SPDX-License-Identifier: Apache-2.0
"""Renders of finished textures from the fixed views, and sheets of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pgc.cameras.view_names import view_name
from pgc.errors import ConfigError
from pgc.evaluation.meshes import evaluation_mesh
from pgc.evaluation.pictures import MeshViews, contact_sheet, to_bytes
from pgc.evaluation.views import FIXED_VIEWS, fixed_views
from pgc.mesh import prepare_mesh
from pgc.texture.field import BakedTexture


def test_fixed_views_see_the_whole_mesh_from_all_around() -> None:
    cameras = fixed_views()
    assert len(cameras) == len(FIXED_VIEWS) == 6
    assert view_name(cameras[0], "-y") == "front"
    assert view_name(cameras[3], "-y") == "back"
    corners = 0.8 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / np.sqrt(3)
    for camera in cameras:
        assert np.abs(camera.project(corners)[:, :2]).max() < 1.0


@pytest.mark.slow
def test_a_plain_texture_shows_its_colour_on_gray() -> None:
    triangles = prepare_mesh(evaluation_mesh("star")).triangles
    views = MeshViews(triangles, 32, fixed_views()[:2])
    color = torch.tensor([0.8, 0.4, 0.2])
    image = views.render(BakedTexture(maps={"base_color": [color.view(3, 1, 1).expand(3, 16, 16).contiguous()]}))
    assert image.shape == (2, 3, 32, 32)
    inside = views.mask.expand(-1, 3, -1, -1)
    assert 0.1 < float(views.mask.float().mean()) < 0.7
    torch.testing.assert_close(image[inside], color.view(1, 3, 1, 1).expand_as(image)[inside], atol=1e-5, rtol=0)
    outside = (views.gbuffer.coverage == 0).expand(-1, 3, -1, -1)
    torch.testing.assert_close(image[outside], torch.full_like(image[outside], 0.5))


def test_bytes_round_half_up_and_put_channels_last() -> None:
    image = torch.tensor([0.0, 1.0, 0.5 / 255.0]).view(1, 3, 1, 1)
    assert to_bytes(image).tolist() == [[[[0, 255, 1]]]]


def test_contact_sheet_has_a_caption_above_each_row() -> None:
    red = np.full((8, 8, 3), [255, 0, 0], np.uint8)
    sheet = contact_sheet([[red, red], [red, red]], ["one", "two"])
    assert sheet.size == (16, 2 * (8 + 14))
    assert sheet.getpixel((4, 14 + 4)) == (255, 0, 0)
    assert sheet.getpixel((4, 8 + 14 + 14 + 4)) == (255, 0, 0)
    pixels = np.asarray(sheet)
    assert (pixels[:14] < 128).any(), "the caption is not there"


@pytest.mark.parametrize("captions", [[], ["one", "two"]])
def test_uneven_sheets_are_refused(captions: list[str]) -> None:
    with pytest.raises(ConfigError, match="caption"):
        contact_sheet([[np.zeros((2, 2, 3), np.uint8)]], captions)
