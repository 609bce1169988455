# SPDX-License-Identifier: Apache-2.0
"""Vertex colours become the texture that they would be seen as; a mesh without any is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pgc.baking.vertex_colors import vertex_color_texture
from pgc.errors import TextureError
from pgc.mesh import load_mesh, prepare_mesh
from pgc.texture.field import BakedTexture

SQUARE = """ply
format ascii 1.0
element vertex 4
property float x
property float y
property float z
property float u
property float v
property uchar red
property uchar green
property uchar blue
element face 1
property list uchar int vertex_indices
end_header
0 0 0 0 0 255 0 0
1 0 0 1 0 0 255 0
1 1 0 1 1 0 0 255
0 1 0 0 1 255 255 255
4 0 1 2 3
"""


def square(tmp_path: Path, text: str = SQUARE) -> Path:
    path = tmp_path / "square.ply"
    path.write_text(text, encoding="utf-8")
    return path


def test_corners_have_their_colours_and_the_middle_their_mix(tmp_path: Path) -> None:
    mesh = prepare_mesh(load_mesh(square(tmp_path)), uvs="keep")
    baked = vertex_color_texture(mesh, size=64)
    image = baked.maps["base_color"][0]
    corners = {"red": image[:, -1, 0], "green": image[:, -1, -1], "blue": image[:, 0, -1], "white": image[:, 0, 0]}
    expected = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "white": (1, 1, 1)}
    for name, color in corners.items():
        assert torch.allclose(color, torch.tensor(expected[name]).float(), atol=0.13), name
    again = BakedTexture.from_uint8(baked.to_uint8()).maps["base_color"][0]
    assert torch.equal(again, image), "as from an image file"


def test_a_corner_without_a_colour_takes_the_mean(tmp_path: Path) -> None:
    mesh = prepare_mesh(load_mesh(square(tmp_path)), uvs="keep")
    assert mesh.mesh.corner_colors is not None
    assert mesh.mesh.colors is not None
    index = mesh.mesh.corner_colors.copy()
    index[:] = -1
    index[0] = mesh.mesh.corner_colors[0]
    alone = replace(mesh, mesh=replace(mesh.mesh, corner_colors=index))
    image = vertex_color_texture(alone, size=16).maps["base_color"][0]
    assert torch.allclose(image, torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand_as(image), atol=1e-6)


def test_a_mesh_without_colours_is_refused(tmp_path: Path, cube_obj: Path) -> None:
    with pytest.raises(TextureError, match="has no vertex colours to start from; leave --start out"):
        vertex_color_texture(prepare_mesh(load_mesh(cube_obj)), size=16)
    mesh = prepare_mesh(load_mesh(square(tmp_path)), uvs="keep")
    assert mesh.mesh.corner_colors is not None
    none = replace(mesh.mesh, corner_colors=np.full_like(mesh.mesh.corner_colors, -1))
    with pytest.raises(TextureError, match="has no vertex colours"):
        vertex_color_texture(replace(mesh, mesh=none), size=16)
