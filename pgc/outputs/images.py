# SPDX-License-Identifier: Apache-2.0
"""Texture images on disk: 8-bit PNG, one a map and tile; base_color in sRGB as it stands in the file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from pgc.errors import TextureError
from pgc.texture.field import BakedTexture, to_uint8_values

__all__ = [
    "encode_png",
    "map_file_names",
    "read_lock_masks",
    "read_material",
    "read_texture",
    "texture_side",
    "tile_paths",
]

_MATERIAL_MODES = {"base_color": "RGB", "roughness": "L", "metallic": "L", "normal": "RGB"}
"""Maps that a run may start from, and what their pixels are."""
_EIGHT_BIT_MODES = {"1", "L", "LA", "P", "RGB", "RGBA"}


def encode_png(image: UInt8[Tensor, "c h w"]) -> bytes:
    """A PNG of one (gray) or three (RGB) channels, row 0 at the top."""
    array = image.permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def map_file_names(name: str, tiles: Sequence[int]) -> dict[int, str]:
    """File name of each tile: base_color.png, or base_color.1001.png, base_color.1002.png and so on for UDIM."""
    if tuple(tiles) == (1001,):
        return {1001: f"{name}.png"}
    return {tile: f"{name}.{tile}.png" for tile in tiles}


def encode_maps(texture: BakedTexture) -> dict[str, dict[int, bytes]]:
    """PNG bytes by map and tile."""
    return {
        name: {
            tile: encode_png(to_uint8_values(image.cpu())) for tile, image in zip(texture.tiles, images, strict=True)
        }
        for name, images in texture.maps.items()
    }


def tile_paths(path: Path, tiles: Sequence[int]) -> dict[int, Path]:
    """Where each tile's image is, from one path: as it stands for one tile; else with <UDIM> or any tile number in it.

    Raises:
        TextureError: there are several tiles and the path names none.
    """
    if tuple(tiles) == (1001,) and "<UDIM>" not in path.name:
        return {1001: path}
    pattern = path.name
    for tile in tiles:
        pattern = pattern.replace(f".{tile}.", ".<UDIM>.")
    if "<UDIM>" not in pattern:
        raise TextureError(
            f"{path} is one image, but the mesh has {len(tiles)} UDIM tiles ({', '.join(map(str, tiles))}); "
            f"give one image a tile and write {path.stem}.<UDIM>{path.suffix}."
        )
    return {tile: path.with_name(pattern.replace("<UDIM>", str(tile))) for tile in tiles}


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            loaded = image.copy()
    except FileNotFoundError as error:
        raise TextureError(f"There is no image {path}; check the path.") from error
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise TextureError(f"{path} cannot be read as an image ({error}); expected a PNG, for example.") from error
    if loaded.mode not in _EIGHT_BIT_MODES:
        raise TextureError(
            f"{path} has pixels of mode {loaded.mode}; textures are 8-bit: save it with 8 bits a channel, since "
            "anything else could not come back unchanged."
        )
    if loaded.width != loaded.height:
        raise TextureError(f"{path} is {loaded.width}x{loaded.height}; expected a square image.")
    return loaded


def texture_side(path: Path, tiles: Sequence[int]) -> int:
    """Side in texels of the first tile's image. Raises TextureError where it cannot be read."""
    return _open(next(iter(tile_paths(path, tiles).values()))).width


def read_texture(path: Path, size: int, tiles: Sequence[int] = (1001,)) -> BakedTexture:
    """base_color of all tiles at `size`; an image of that size keeps its bytes exactly, others are resampled.

    Raises:
        TextureError: an image is missing, damaged, not square or not 8-bit.
    """
    files = list(tile_paths(path, tiles).values())
    return BakedTexture.from_uint8({"base_color": [_read_map(file, "RGB", size) for file in files]}, tuple(tiles))


def read_material(folder: Path, size: int, tiles: Sequence[int] = (1001,)) -> BakedTexture:
    """The maps in a folder, named as a run names them: base_color, and roughness, metallic and normal where they are.

    Raises:
        TextureError: there is no base_color, or an image is damaged, not square or not 8-bit, or lacks a tile.
    """
    maps: dict[str, list[Tensor]] = {}
    for name, mode in _MATERIAL_MODES.items():
        files = [folder / file for file in map_file_names(name, tiles).values()]
        if name == "base_color" or any(file.is_file() for file in files):
            maps[name] = [_read_map(file, mode, size) for file in files]
    return BakedTexture.from_uint8(maps, tuple(tiles))


def _read_map(file: Path, mode: str, size: int) -> UInt8[Tensor, "c s s"]:
    image = _open(file).convert(mode)
    if image.width != size:
        image = image.resize((size, size), Image.Resampling.LANCZOS)
    array = np.array(image)
    return torch.from_numpy(array if array.ndim == 3 else array[..., None]).permute(2, 0, 1).contiguous()


def read_lock_masks(path: Path, size: int, tiles: Sequence[int] = (1001,)) -> list[Bool[Tensor, "s s"]]:
    """One mask a tile at `size`: True (locked) where the image is brighter than middle gray.

    Raises:
        TextureError: an image is missing, damaged, not square or not 8-bit.
    """
    masks = []
    for file in tile_paths(path, tiles).values():
        # Transparent pixels of a painted mask are unpainted ones, whatever colour lies beneath.
        opaque = Image.new("RGBA", (1, 1), "black").resize((image := _open(file).convert("RGBA")).size)
        opaque.alpha_composite(image)
        gray = opaque.convert("L").resize((size, size), Image.Resampling.NEAREST)
        masks.append(torch.from_numpy(np.array(gray) > 127))
    return masks
