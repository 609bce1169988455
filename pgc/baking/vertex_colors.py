# SPDX-License-Identifier: Apache-2.0
"""A texture of the colours that a mesh has at its vertices, to start a run from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from pgc.color_space import srgb_from_linear
from pgc.errors import TextureError
from pgc.mesh import PreparedMesh
from pgc.texture.field import BakedTexture, from_uint8_values, to_uint8_values
from pgc.texture.texel_surface import texel_surface

__all__ = ["vertex_color_texture"]


def vertex_color_texture(mesh: PreparedMesh, *, size: int, tiles: Sequence[int] = (1001,)) -> BakedTexture:
    """Bakes the vertex colours of a mesh into its UVs, in steps of 8 bits, so that it is the same as an image file.

    Colours are interpolated in the linear values that the file means, and kept as sRGB. Corners without one, and texels
    beside the charts, take the mean of all.

    Raises:
        TextureError: the mesh has no vertex colours.
    """
    corners = _corner_colors(mesh)
    mean = np.nanmean(corners.reshape(-1, 3), axis=0)
    corners = np.where(np.isnan(corners), mean, corners)
    images = [_tile(mesh, corners, mean.astype(np.float32), size, tile) for tile in tiles]
    return BakedTexture(maps={"base_color": images}, tiles=tuple(tiles))


def _corner_colors(mesh: PreparedMesh) -> Float32[np.ndarray, "F 3 3"]:
    """Linear RGB by corner of each triangle; NaN where a corner has none."""
    source = mesh.mesh
    if source.colors is None or source.corner_colors is None or not (source.corner_colors >= 0).any():
        raise TextureError(
            f"{source.name} has no vertex colours to start from; leave --start out, or give an image (--init-texture)."
        )
    index = source.corner_colors[mesh.triangles.corner_index]
    colors = source.colors[np.maximum(index, 0), :3].astype(np.float32)
    return np.where((index >= 0)[..., None], colors, np.float32(np.nan))


def _tile(mesh: PreparedMesh, corners: np.ndarray, mean: Float32[np.ndarray, " 3"], size: int, tile: int) -> Tensor:
    surface = texel_surface(mesh.triangles, size, tile, reach=1.0)
    there = surface.face_index >= 0
    image = np.broadcast_to(mean, (size, size, 3)).copy()
    image[there] = np.einsum("nk,nkc->nc", surface.barycentrics[there], corners[surface.face_index[there]])
    encoded = srgb_from_linear(torch.from_numpy(image.clip(0.0, 1.0)).permute(2, 0, 1))
    return from_uint8_values(to_uint8_values(encoded))
