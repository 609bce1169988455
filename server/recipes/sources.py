# SPDX-License-Identifier: Apache-2.0
"""Images of a job to the textures that a run starts from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from blender_addon.protocol.arrays import ArrayRef
from blender_addon.protocol.errors import invalid
from blender_addon.protocol.specs.job import TextureJobSpec, TileImage
from pgc.baking.vertex_colors import vertex_color_texture
from pgc.images.likeness import likeness_of
from pgc.mesh import PreparedMesh
from pgc.runs.request import SourceTextures
from pgc.runs.sources.pictures import likeness_tensor
from pgc.texture.field import BakedTexture, from_uint8_values

__all__ = ["FileOf", "ReadArray", "source_textures"]

ReadArray = Callable[[ArrayRef], npt.NDArray[Any]]
"""The array behind a reference, of the reference's type and shape."""
FileOf = Callable[[ArrayRef], Path]
"""The file that holds the bytes of an array and nothing else."""


def source_textures(spec: TextureJobSpec, read: ReadArray, mesh: PreparedMesh, size: int) -> SourceTextures:
    """Returns the textures of a job, of one image a tile, in the order of the mesh's tiles.

    Args:
        mesh: with the colours that the job starts from, where it brings some.
        size: edge of each image in texels, as the run's texture has it.

    Raises:
        ProtocolError: a tile has no image, or one of another size; the error names the field.
    """
    initial, locks = spec.initial_texture, spec.lock_mask
    oracle, reference = spec.guidance.oracle_texture, spec.conditions.reference
    tiles = mesh.report.tiles
    start = _texture(initial, read, tiles, size, "initial_texture") if initial else None
    if start is not None and spec.initial_maps:
        beside = {
            name: [from_uint8_values(_planes(image)) for image in _images(found, read, tiles, size, path)]
            for name, found in spec.initial_maps.items()
            for path in [f"initial_maps.{name}"]
        }
        start = replace(start, maps={**start.maps, **beside})
    if mesh.mesh.colors is not None:
        start = vertex_color_texture(mesh, size=size, tiles=tiles)
    return SourceTextures(
        initial=start,
        lock_mask=[image > 127 for image in _images(locks, read, tiles, size, "lock_mask")] if locks else None,
        oracle=_texture(oracle, read, tiles, size, "guidance.oracle_texture") if oracle else None,
        likeness=None if reference is None else likeness_tensor(likeness_of(np.asarray(read(reference.image)))),
    )


def _texture(
    images: Sequence[TileImage], read: ReadArray, tiles: tuple[int, ...], size: int, path: str
) -> BakedTexture:
    pixels = [_planes(image) for image in _images(images, read, tiles, size, path)]
    return BakedTexture.from_uint8({"base_color": pixels}, tiles)


def _planes(image: Tensor) -> Tensor:
    """[channels, size, size] of an image with or without a side for its channels."""
    return image.reshape(*image.shape[:2], -1).permute(2, 0, 1).contiguous()


def _images(images: Sequence[TileImage], read: ReadArray, tiles: tuple[int, ...], size: int, path: str) -> list[Tensor]:
    """One image a tile, in the order of the mesh's tiles, [size, size] or [size, size, 3] bytes."""
    by_tile = {image.tile: (index, image.array) for index, image in enumerate(images)}
    found: list[Tensor] = []
    for tile in tiles:
        if tile not in by_tile:
            raise invalid(path, f"Tile {tile} of the mesh has no image; it has tiles {', '.join(map(str, tiles))}.")
        index, ref = by_tile[tile]
        if tuple(ref.shape[:2]) != (size, size):
            shape = "x".join(map(str, ref.shape[:2]))
            raise invalid(f"{path}[{index}]", f"The image is {shape}, the texture {size}x{size}; resize it.")
        found.append(torch.as_tensor(np.array(read(ref))))
    return found
