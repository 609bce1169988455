# SPDX-License-Identifier: Apache-2.0
"""A run's maps as 8-bit PNG, one a map and tile; base_color in sRGB, with alpha where the initial texture had it."""

from __future__ import annotations

import io
from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from pgc.texture.field import BakedTexture, to_uint8_values

__all__ = ["encode_maps", "encode_png", "map_file_names"]


def encode_png(image: UInt8[Tensor, "c h w"]) -> bytes:
    """Encodes a PNG of one (gray), three (RGB) or four (RGBA) channels, row 0 at the top."""
    array = image.permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def map_file_names(name: str, tiles: Sequence[int]) -> dict[int, str]:
    """Returns the file name of each tile: base_color.png, or base_color.1001.png, base_color.1002.png and so on for
    UDIM."""
    if tuple(tiles) == (1001,):
        return {1001: f"{name}.png"}
    return {tile: f"{name}.{tile}.png" for tile in tiles}


def encode_maps(texture: BakedTexture) -> dict[str, dict[int, bytes]]:
    """Encodes the maps: PNG bytes by map and tile."""
    encoded: dict[str, dict[int, bytes]] = {}
    for name, images in texture.maps.items():
        if name == "base_color" and texture.alpha is not None:
            images = [torch.cat(pair) for pair in zip(images, texture.alpha, strict=True)]
        pairs = zip(texture.tiles, images, strict=True)
        encoded[name] = {tile: encode_png(to_uint8_values(image.cpu())) for tile, image in pairs}
    return encoded
