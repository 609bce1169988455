# SPDX-License-Identifier: Apache-2.0
"""Known materials as textures: the procedural materials baked into a mesh's own UVs."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from pgc.errors import TextureError
from pgc.mesh import TriangleMesh
from pgc.pocket.data.materials import ColorName, MaterialName, MaterialParams, sample_material, shade_points
from pgc.texture.field import BakedTexture
from pgc.texture.texel_config import TexelLayout
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig
from pgc.texture.texel_surface import texel_surface

__all__ = ["bake_material", "chart_mask", "field_of_texture", "material_of"]


def material_of(color: ColorName, material: MaterialName, seed: int) -> MaterialParams:
    """Draws one concrete material; the same arguments always give the same."""
    return sample_material(np.random.default_rng([seed, 1]), color, material)


def bake_material(
    triangles: TriangleMesh, params: MaterialParams, size: int, tiles: tuple[int, ...] = (1001,)
) -> BakedTexture:
    """Bakes the material's base colour (sRGB) on every texel: exact on charts, the nearest chart's colour beside them.

    Raises:
        TextureError: a tile holds no chart.
    """
    images = []
    for tile in tiles:
        surface = texel_surface(triangles, size, tile, reach=1.0)
        known = surface.face_index >= 0
        if not known.any():
            raise TextureError(f"Tile {tile} holds no part of the mesh; leave it out.")
        image = np.zeros((size, size, 3), np.float32)
        image[known] = shade_points(params, surface.position[known], surface.normal[known])
        rows, columns = np.asarray(distance_transform_edt(~known, return_distances=False, return_indices=True))
        images.append(torch.from_numpy(image[rows, columns].transpose(2, 0, 1).copy()))
    return BakedTexture(maps={"base_color": images}, tiles=tiles)


def chart_mask(triangles: TriangleMesh, size: int, tile: int = 1001) -> Bool[Tensor, "s s"]:
    """Marks the texels whose centre lies on the mesh's charts."""
    return torch.from_numpy(texel_surface(triangles, size, tile).inside)


def field_of_texture(triangles: TriangleMesh, texture: BakedTexture) -> TexelPyramid:
    """Turns a finished texture into a field, so that it renders through the very fetch that a run renders through."""
    config, layout = TexelPyramidConfig(texture_size=texture.size), TexelLayout(tiles=texture.tiles)
    field = TexelPyramid(triangles, config, texture, layout=layout)
    field.set_progress(1.0)
    return field
