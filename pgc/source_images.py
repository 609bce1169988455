# SPDX-License-Identifier: Apache-2.0
"""Initial textures, known textures and lock masks: from image files to maps and masks of a run's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from PIL import Image
from torch import Tensor

from pgc.color_space import srgb_from_linear
from pgc.errors import TextureError
from pgc.image_reader import Depth, SourceImage, image_size, read_source_image, unit_values
from pgc.texture.field import BakedTexture

__all__ = [
    "SourceMasks",
    "SourceTexture",
    "read_lock_masks",
    "read_material",
    "read_texture",
    "texture_side",
    "tile_paths",
]

_MAPS = {"base_color": 3, "roughness": 1, "metallic": 1, "normal": 3}
"""Maps that a run may start from, and their channels."""
_SUFFIXES = (".png", ".exr", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".tga", ".bmp", ".hdr")
"""Of a folder's maps: the first that is there is taken."""
_SIDES = (16, 8192)
_ORDER: tuple[Depth, ...] = ("8 bits", "16 bits", "half float", "float")
_LEVELS = {"8 bits": 255, "16 bits": 65535}
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Rec. 601, of encoded values: how bright a picture looks on a screen, near enough for a threshold."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SourceTexture:
    """A texture from files.

    Attributes:
        texture: the maps at the run's size; base_color is sRGB-encoded whatever the file holds. Alpha of the base
            colour is in `texture.alpha`, where a file has it.
        depth: the deepest of the files.
        notes: one sentence for each thing that was changed or ignored.
    """

    texture: BakedTexture
    depth: Depth
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SourceMasks:
    """Lock masks from files: one [S, S] bool tensor a tile, True = locked; `notes` as of `SourceTexture`."""

    masks: list[Tensor]
    notes: tuple[str, ...]


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


def texture_side(path: Path) -> int:
    """Side of the texture of a run that starts from an image or a folder of maps: a power of two from 16 to 8192.

    It is the image's own side where that is one, else the next one above its longer side. Of a path with <UDIM>, the
    first tile that is there decides.

    Raises:
        TextureError: the image is missing, no image, or too big.
    """
    if path.is_dir():
        names = (file for suffix in _SUFFIXES for file in sorted(path.glob(f"base_color*{suffix}")))
        path = next(names, path / "base_color.png")
    if "<UDIM>" in path.name:
        path = next(iter(sorted(path.parent.glob(path.name.replace("<UDIM>", "[12]???")))), path)
    longest = max(image_size(path))
    return min(max(1 << (longest - 1).bit_length(), _SIDES[0]), _SIDES[1])


def read_texture(path: Path, size: int, tiles: Sequence[int] = (1001,)) -> SourceTexture:
    """base_color of all tiles at `size`; an image of that size keeps its values exactly, others are resampled.

    Raises:
        TextureError: an image is missing, damaged or too big.
    """
    return _read_maps({"base_color": list(tile_paths(path, tiles).values())}, size, tiles)


def read_material(folder: Path, size: int, tiles: Sequence[int] = (1001,)) -> SourceTexture:
    """The maps in a folder, named as a run names them: base_color, and roughness, metallic and normal where they are.

    Raises:
        TextureError: there is no base_color, or an image is damaged or too big, or lacks a tile.
    """
    files: dict[str, list[Path]] = {}
    for name in _MAPS:
        numbers = [""] if tuple(tiles) == (1001,) else [f".{tile}" for tile in tiles]
        for suffix in _SUFFIXES:
            found = [folder / f"{name}{number}{suffix}" for number in numbers]
            if any(file.is_file() for file in found):
                files[name] = found
                break
        else:
            if name == "base_color":
                files[name] = [folder / f"{name}{number}.png" for number in numbers]
    return _read_maps(files, size, tiles)


def _read_maps(files: dict[str, list[Path]], size: int, tiles: Sequence[int]) -> SourceTexture:
    maps: dict[str, list[Tensor]] = {}
    alpha: list[Tensor | None] = []
    notes: list[str] = []
    depths: set[Depth] = set()
    for name, paths in files.items():
        maps[name] = []
        for path in paths:
            image = read_source_image(path)
            values = _values(path, image, name == "base_color", notes)
            maps[name].append(_resized(path, _with_channels(values, _MAPS[name]), size, image.depth, notes))
            if name == "base_color":
                alpha.append(_alpha(path, image, size))
            depths.add(image.depth)
            notes += image.notes
    texture = BakedTexture(maps=maps, tiles=tuple(tiles))
    if any(values is not None for values in alpha):
        notes.append(
            "The initial base colour has alpha: it is kept in base_color and textured.glb, and the run does not see it."
        )
        opaque = torch.ones(1, size, size)
        texture = replace(texture, alpha=[opaque if values is None else values for values in alpha])
    return SourceTexture(texture=texture, depth=max(depths, key=_ORDER.index), notes=tuple(dict.fromkeys(notes)))


def read_lock_masks(path: Path, size: int, tiles: Sequence[int] = (1001,)) -> SourceMasks:
    """One mask a tile at `size`: locked where the picture is brighter than middle gray and not transparent.

    Raises:
        TextureError: an image is missing, damaged or too big.
    """
    masks: list[Bool[Tensor, "s s"]] = []
    notes: list[str] = []
    for file in tile_paths(path, tiles).values():
        image = read_source_image(file)
        values = _values(file, image, True, [])
        gray = values[..., 0] if values.shape[-1] == 1 else values @ _LUMA
        if image.alpha is not None:
            # Transparent pixels of a painted mask are unpainted ones, whatever colour lies beneath.
            gray = gray * unit_values(image.alpha)
        bright = gray >= 0.5
        height, width = bright.shape
        if (height, width) != (size, size):
            note = f"{file.name} is {width}x{height}, the texture {size}x{size}"
            notes.append(f"{note}: pixels of the mask are repeated or left out.")
            bright = bright[np.arange(size) * height // size][:, np.arange(size) * width // size]
        masks.append(torch.from_numpy(np.ascontiguousarray(bright)))
        notes += image.notes
    return SourceMasks(masks=masks, notes=tuple(dict.fromkeys(notes)))


def _values(path: Path, image: SourceImage, is_color: bool, notes: list[str]) -> Float32[np.ndarray, "h w c"]:
    """Float32 in [0, 1]; linear light of a colour is encoded."""
    values = unit_values(image.color)
    if not np.issubdtype(image.color.dtype, np.floating):
        return values
    beyond = int(((values < 0.0) | (values > 1.0)).any(axis=-1).sum())
    if beyond:
        notes.append(
            f"{path.name}: {beyond} of {values.shape[0] * values.shape[1]} texels lie outside of 0 to 1 (from "
            f"{float(values.min()):.3g} to {float(values.max()):.3g}); they were cut to that range."
        )
        values = values.clip(0.0, 1.0)
    if image.linear and is_color:
        # In float64: a half float must come back to its very bits.
        values = srgb_from_linear(torch.from_numpy(values).double()).float().numpy()
    return values


def _with_channels(values: Float32[np.ndarray, "h w c"], channels: int) -> Float32[np.ndarray, "h w k"]:
    if values.shape[-1] == channels:
        return values
    return np.repeat(values, 3, axis=-1) if channels == 3 else (values @ _LUMA)[..., None]


def _alpha(path: Path, image: SourceImage, size: int) -> Float[Tensor, "1 s s"] | None:
    """The alpha channel, if anything in it is not opaque."""
    if image.alpha is None:
        return None
    values = unit_values(image.alpha).clip(0.0, 1.0)
    return None if bool((values == 1.0).all()) else _resized(path, values[..., None], size, image.depth, [])


def _resized(
    path: Path, values: Float32[np.ndarray, "h w c"], size: int, depth: Depth, notes: list[str]
) -> Float[Tensor, "c s s"]:
    """The values at `size`, exact where they have it; else resampled, and rounded to the file's depth."""
    height, width = values.shape[:2]
    if (height, width) != (size, size):
        note = f"{path.name} is {width}x{height}; it was resampled to {size}x{size}"
        notes.append(f"{note}, and locked texels keep the resampled values.")
        planes = [
            np.asarray(
                Image.fromarray(np.ascontiguousarray(values[..., channel])).resize(
                    (size, size), Image.Resampling.LANCZOS
                )
            )
            for channel in range(values.shape[-1])
        ]
        values = np.stack(planes, axis=-1).clip(0.0, 1.0)
        if depth in _LEVELS:
            levels = np.float32(_LEVELS[depth])
            values = np.floor(values * levels + np.float32(0.5)) / levels
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))
