# SPDX-License-Identifier: Apache-2.0
"""Occlusion of texels: a box seen from outside and inside, and gutters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pgc.baking.occlusion import OcclusionConfig, occlusion_map
from pgc.errors import ConfigError
from pgc.mesh import load_mesh, prepare_mesh
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.texture.texel_surface import texel_surface

SIZE = 32


@pytest.fixture
def cube(cube_obj):
    """With the flat normals of a cube, outwards."""
    triangles = prepare_mesh(load_mesh(cube_obj)).triangles
    middles = triangles.positions[triangles.faces].mean(axis=1)
    axes = np.zeros_like(middles)
    rows, longest = np.arange(len(middles)), np.abs(middles).argmax(axis=1)
    axes[rows, longest] = np.sign(middles[rows, longest])
    return replace(triangles, corner_normals=np.repeat(axes[:, None], 3, axis=1).astype(np.float32))


def occlusion(triangles, **config):
    caster = WarpRasterizer(triangles, device=torch.device("cpu"))
    (image,) = occlusion_map(triangles, caster, OcclusionConfig(rays=32, **config), size=SIZE)
    return image


def without_top(triangles):
    """An open box: the faces that look up are gone."""
    normals = triangles.corner_normals[:, :, 2].mean(axis=1)
    kept = normals < 0.9
    names = ("faces", "corner_uvs", "corner_normals", "polygon_index", "corner_index", "material_index")
    return replace(triangles, **{name: getattr(triangles, name)[kept] for name in names})


def test_nothing_is_in_the_way_of_a_cube(cube):
    assert torch.equal(occlusion(cube), torch.ones((1, SIZE, SIZE)))


def test_the_floor_of_an_open_box_is_darker_than_its_outside(cube):
    box = without_top(cube)
    inside_out = replace(box, corner_normals=-box.corner_normals)
    assert float(occlusion(box).min()) == 1.0
    image = occlusion(inside_out)
    surface = texel_surface(inside_out, SIZE)
    floor = torch.from_numpy((surface.normal[..., 2] > 0.9) & surface.inside)
    # A cube's floor sees its open top under the form factor of two opposite squares at their distance: 0.2.
    assert float(image[0, floor].mean()) == pytest.approx(0.2, abs=0.02)


def test_a_closed_mesh_with_its_normals_inside_is_looked_at_from_outside(cube):
    turned = replace(cube, corner_normals=-cube.corner_normals)
    assert torch.equal(occlusion(turned), torch.ones((1, SIZE, SIZE)))


def test_smooth_normals_do_not_make_a_face_block_itself(cube):
    """At the corners of a smoothly shaded cube the normals lean over the faces."""
    corners = cube.positions[cube.faces]
    leaning = corners / np.linalg.norm(corners, axis=-1, keepdims=True)
    smooth = replace(cube, corner_normals=leaning.astype(np.float32))
    assert torch.equal(occlusion(smooth), torch.ones((1, SIZE, SIZE)))


def test_reach_lets_far_walls_out(cube):
    box = replace(without_top(cube), corner_normals=-without_top(cube).corner_normals)
    assert float(occlusion(box, reach=0.05).mean()) > float(occlusion(box).mean()) + 0.3


def test_the_gutter_continues_the_nearest_texel_and_an_empty_tile_is_free(cube):
    box = replace(without_top(cube), corner_normals=-without_top(cube).corner_normals)
    caster = WarpRasterizer(box, device=torch.device("cpu"))
    first, second = occlusion_map(box, caster, OcclusionConfig(rays=8), size=SIZE, tiles=(1001, 1002))
    known = texel_surface(box, SIZE).face_index >= 0
    assert set(np.unique(first[0].numpy()[~known])) <= set(np.unique(first[0].numpy()[known]))
    assert float(first.max()) < 1.0
    assert torch.equal(second, torch.ones_like(second))


@pytest.mark.slow
def test_big_textures_are_filled_in_between(cube):
    box = replace(without_top(cube), corner_normals=-without_top(cube).corner_normals)
    caster = WarpRasterizer(box, device=torch.device("cpu"))
    (full,) = occlusion_map(box, caster, OcclusionConfig(rays=32), size=128)
    (quick,) = occlusion_map(box, caster, OcclusionConfig(rays=32, texels=64 * 64), size=128)
    assert quick.shape == full.shape
    inside = torch.from_numpy(texel_surface(box, 128).face_index >= 0)
    assert float((quick - full)[0, inside].abs().mean()) < 0.03
    # No tile is computed at less than 64 x 64, however many texels that makes.
    (least,) = occlusion_map(box, caster, OcclusionConfig(rays=32, texels=1), size=128)
    assert torch.equal(least, quick)


@pytest.mark.parametrize("changes", [{"texels": 0}, {"rays": 0}, {"rays": 5000}, {"reach": 0.0}])
def test_settings_that_make_no_sense_are_refused(changes):
    with pytest.raises(ConfigError, match="expected 1 to 4096"):
        OcclusionConfig(**changes)
