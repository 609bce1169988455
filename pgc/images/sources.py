# SPDX-License-Identifier: Apache-2.0
"""Initial and known textures: from image files to maps of a run's size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from PIL import Image
from torch import Tensor

from pgc.color_space import srgb_from_linear
from pgc.errors import TextureError
from pgc.images.color_profiles import in_srgb
from pgc.images.reading import Depth, SourceImage, image_size, read_source_image
from pgc.images.values import unit_values
from pgc.maps import MAPS, map_channels
from pgc.texture.field import BakedTexture

__all__ = [
    "SourceTexture",
    "gray_values",
    "material_files",
    "profiled",
    "read_maps",
    "read_material",
    "read_texture",
    "texture_side",
    "tile_paths",
]

_CHANNELS = map_channels()
_SUFFIXES = (".png", ".exr", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".tga", ".bmp", ".hdr")
"""Of a folder's maps: the first that is there is taken."""
_SIDES = (16, 8192)
_ORDER: tuple[Depth, ...] = ("8 bits", "16 bits", "half float", "float")
_LEVELS = {"8 bits": 255, "16 bits": 65535}
_ROWS = 256
"""Worked on at a time, where a step would need more memory than the picture."""
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


def tile_paths(path: Path, tiles: Sequence[int]) -> dict[int, Path]:
    """Says where each tile's image is, from one path: as it stands for one tile; else with <UDIM> or any tile number in
    it.

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
    """Returns the side of the texture of a run that starts from an image or a folder of maps: a power of two from 16 to
    8192.

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
    """Reads base_color of all tiles at `size`; an image of that size keeps its values exactly, others are resampled.

    Raises:
        TextureError: an image is missing, damaged or too big.
    """
    return read_maps({"base_color": list(tile_paths(path, tiles).values())}, size, tiles)


def read_material(folder: Path, size: int, tiles: Sequence[int] = (1001,)) -> SourceTexture:
    """Reads the maps in a folder, named as a run names them: base_color, and of the others those that are there.

    Raises:
        TextureError: there is no base_color, or an image is damaged or too big, or lacks a tile.
    """
    return read_maps(material_files(folder, tiles), size, tiles)


def material_files(folder: Path, tiles: Sequence[int] = (1001,)) -> dict[str, list[Path]]:
    """Says where the maps in a folder are, one file a tile; base_color is always among them."""
    files: dict[str, list[Path]] = {}
    for name in _CHANNELS:
        numbers = [""] if tuple(tiles) == (1001,) else [f".{tile}" for tile in tiles]
        for suffix in _SUFFIXES:
            found = [folder / f"{name}{number}{suffix}" for number in numbers]
            if any(file.is_file() for file in found):
                files[name] = found
                break
        else:
            if name == "base_color":
                files[name] = [folder / f"{name}{number}.png" for number in numbers]
    return files


def read_maps(files: Mapping[str, list[Path]], size: int, tiles: Sequence[int]) -> SourceTexture:
    """Reads maps from files, one a tile. Raises TextureError as `read_texture`."""
    maps: dict[str, list[Tensor]] = {}
    alpha: list[Tensor | None] = []
    notes: list[str] = []
    depths: set[Depth] = set()
    for name, paths in files.items():
        maps[name] = []
        for path in paths:
            is_color = MAPS[name].is_color
            image = profiled(path, read_source_image(path), is_color=is_color)
            maps[name].append(_sampled(path, image, _CHANNELS[name], size, is_color=is_color, notes=notes))
            if is_color:
                alpha.append(_alpha(image, size))
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


def profiled(path: Path, image: SourceImage, *, is_color: bool) -> SourceImage:
    """Returns the image with its colours in sRGB; of maps that are no colours its profile is told alone."""
    if image.profile is None or image.linear:
        return image
    if not is_color:
        told = f"has the colour profile {image.profile.name!r}, which is ignored: its values are no colours."
        return replace(image, notes=(*image.notes, f"{path.name} {told}"))
    color, told = in_srgb(image.color, image.profile)
    return replace(image, color=color, notes=(*image.notes, f"{path.name} {told}"))


def _sampled(
    path: Path, image: SourceImage, channels: int, size: int, *, is_color: bool, notes: list[str]
) -> Float[Tensor, "c s s"]:
    """A map of so many channels at `size`, in [0, 1]; linear light of a colour is encoded. One plane after the other,
    since a picture may have tens of millions of pixels."""
    _tell_range(path, image.color, notes)
    color, encode = image.color, image.linear and is_color
    sampled = np.empty((channels, size, size), dtype=np.float32)
    if color.shape[-1] == channels:
        for channel in range(channels):
            sampled[channel] = _resized(_plane(color[..., channel], encode), size, image.depth)
    else:
        sampled[:] = _resized(gray_values(image, encode), size, image.depth)
    if not _fits(color, size):
        note = f"{path.name} is {color.shape[1]}x{color.shape[0]}; it was resampled to {size}x{size}"
        notes.append(f"{note}, and locked texels keep the resampled values.")
    return torch.from_numpy(sampled)


def _fits(values: np.ndarray, size: int) -> bool:
    return values.shape[:2] == (size, size)


def gray_values(image: SourceImage, encode: bool) -> Float32[np.ndarray, "h w"]:
    """Returns how bright the pixels are, encoded where asked for."""
    if image.color.shape[-1] == 1:
        return _plane(image.color[..., 0], encode)
    gray = np.zeros(image.color.shape[:2], dtype=np.float32)
    for channel, weight in enumerate(_LUMA):
        gray += weight * _plane(image.color[..., channel], encode)
    return gray


def _plane(values: np.ndarray, encode: bool) -> Float32[np.ndarray, "h w"]:
    """One channel in [0, 1]."""
    plane = unit_values(values)
    if np.issubdtype(values.dtype, np.floating):
        np.clip(plane, 0.0, 1.0, out=plane)
    if encode:
        for start in range(0, len(plane), _ROWS):
            rows = torch.from_numpy(plane[start : start + _ROWS])
            # In float64: a half float must come back to its very bits.
            rows.copy_(srgb_from_linear(rows.double()))
    return plane


def _tell_range(path: Path, color: np.ndarray, notes: list[str]) -> None:
    """Says how many texels lie outside of what a texture holds."""
    if not np.issubdtype(color.dtype, np.floating):
        return
    low, high = float(color.min()), float(color.max())
    if low < 0.0 or high > 1.0:
        beyond = sum(
            int(((rows < 0.0) | (rows > 1.0)).any(axis=-1).sum())
            for rows in (color[start : start + _ROWS] for start in range(0, len(color), _ROWS))
        )
        notes.append(
            f"{path.name}: {beyond} of {color.shape[0] * color.shape[1]} texels lie outside of 0 to 1 (from "
            f"{low:.3g} to {high:.3g}); they were cut to that range."
        )


def _alpha(image: SourceImage, size: int) -> Float[Tensor, "1 s s"] | None:
    """The alpha channel, if anything in it is not opaque."""
    if image.alpha is None:
        return None
    plane = _plane(image.alpha, encode=False)
    return None if bool((plane == 1.0).all()) else torch.from_numpy(_resized(plane, size, image.depth)[None])


def _resized(plane: Float32[np.ndarray, "h w"], size: int, depth: Depth) -> Float32[np.ndarray, "s s"]:
    """The plane at `size`, exact where it has it; else resampled, and rounded to the file's depth."""
    if _fits(plane, size):
        return plane
    resampled = Image.fromarray(plane).resize((size, size), Image.Resampling.LANCZOS)
    values = np.asarray(resampled).clip(0.0, 1.0)
    if depth in _LEVELS:
        levels = np.float32(_LEVELS[depth])
        values = np.floor(values * levels + np.float32(0.5)) / levels
    return values
