# SPDX-License-Identifier: Apache-2.0
"""Baked materials are the materials, texel by texel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pgc.errors import TextureError
from pgc.evaluation.ground_truth import bake_material, chart_mask, field_of_texture, material_of
from pgc.evaluation.meshes import evaluation_mesh
from pgc.mesh import TriangleMesh, prepare_mesh
from pgc.pocket.data.materials import shade_points
from pgc.texture.texel_surface import texel_surface

SIZE = 64


@pytest.fixture(scope="module")
def triangles() -> TriangleMesh:
    return prepare_mesh(evaluation_mesh("trefoil")).triangles


@pytest.mark.slow
def test_texels_on_charts_hold_the_material_at_their_surface_point(triangles: TriangleMesh) -> None:
    params = material_of("red", "marble", 3)
    image = bake_material(triangles, params, SIZE).maps["base_color"][0]
    surface = texel_surface(triangles, SIZE)
    expected = shade_points(params, surface.position[surface.inside], surface.normal[surface.inside])
    np.testing.assert_array_equal(image.numpy().transpose(1, 2, 0)[surface.inside], expected)
    assert torch.equal(chart_mask(triangles, SIZE), torch.from_numpy(surface.inside))
    # Beside the charts stands a neighbour's colour, never black.
    assert float(image.sum(dim=0).min()) > 0.0


def test_materials_depend_on_their_seed_only() -> None:
    assert material_of("blue", "dots", 5) == material_of("blue", "dots", 5)
    assert material_of("blue", "dots", 5) != material_of("blue", "dots", 6)


def test_a_texture_becomes_a_field_that_bakes_to_itself(triangles: TriangleMesh) -> None:
    texture = bake_material(triangles, material_of("green", "checker", 1), SIZE)
    baked = field_of_texture(triangles, texture).bake().maps["base_color"][0]
    inside = chart_mask(triangles, SIZE)
    torch.testing.assert_close(baked[:, inside], texture.maps["base_color"][0][:, inside], atol=1e-6, rtol=0)


def test_tiles_without_a_chart_are_refused(triangles: TriangleMesh) -> None:
    moved = replace(triangles, corner_uvs=triangles.corner_uvs + np.float32(1.0))
    with pytest.raises(TextureError, match="no part of the mesh"):
        bake_material(moved, material_of("red", "plain", 0), SIZE)
