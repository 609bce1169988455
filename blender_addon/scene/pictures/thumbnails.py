# SPDX-License-Identifier: GPL-3.0-or-later
"""Small pictures of versions, packed, so that a list shows them at once and a save keeps them.

They come from the last preview of the base colour, which is here as numpy, drawn on the object (`portraits`). Only
where there was none, a small map is read by Blender itself; a big one is not, since that would hold up the artist for
seconds: the list shows Blender's own icon of the map then, which a thread of Blender's makes.
"""

from __future__ import annotations

import struct
import zlib

import bpy
import numpy as np
import numpy.typing as npt

from .images import new_packed_image, png_size

__all__ = ["SIDE", "encode_png", "new_thumbnail", "reduced"]

SIDE = 128
"""Pixels of a thumbnail's longer side, at most."""
_LARGEST_READ = 512 * 512


def new_thumbnail(
    name: str, pixels: npt.NDArray[np.uint8] | None, png: bytes | None, map_image: bpy.types.Image | None
) -> bpy.types.Image | None:
    """Makes a packed sRGB image of at most 128 x 128 pixels; returns None where it would take too long to make.

    Args:
        pixels: uint8 [H, W, C], sRGB, row 0 at the top: the last preview; None: there was none.
        png: the base colour map's bytes; map_image: the same in Blender.
    """
    if pixels is None and png is not None and map_image is not None:
        size = png_size(png)
        if size is not None and size[0] * size[1] <= _LARGEST_READ:
            pixels = _read(map_image)
    if pixels is None:
        return None
    return new_packed_image(name, encode_png(reduced(pixels)), "srgb")


def reduced(pixels: npt.NDArray[np.uint8], side: int = SIDE) -> npt.NDArray[np.uint8]:
    """Returns a smaller picture: means of square blocks, as whole as fit; uint8 [H, W, 3] with both sides at most
    `side`.

    Args:
        pixels: uint8 [H, W, C] with 1, 3 or 4 channels; alpha goes.
    """
    height, width = pixels.shape[:2]
    step = -(-max(height, width) // side)
    color = np.repeat(pixels, 3, axis=2) if pixels.shape[2] < 3 else pixels[..., :3]
    rows, columns = max(1, height // step), max(1, width // step)
    # Whole rows first: numpy adds those fast, and the rest is small then.
    high, wide = min(step, height), min(step, width)
    color = np.ascontiguousarray(color[: rows * high, : columns * wide])
    summed = color.reshape(rows, high, columns * wide * 3).sum(axis=1, dtype=np.uint32)
    summed = summed.reshape(rows, columns, wide, 3).sum(axis=2, dtype=np.uint32)
    return ((summed + high * wide // 2) // (high * wide)).astype(np.uint8)


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Returns an RGB PNG of uint8 [H, W, 3], row 0 at the top."""
    height, width = pixels.shape[:2]
    rows = np.zeros((height, 1 + width * 3), np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows.tobytes()))
        + chunk(b"IEND", b"")
    )


def _read(image: bpy.types.Image) -> npt.NDArray[np.uint8] | None:
    """The pixels of a small image as they are stored, row 0 at the top; None where Blender cannot read it."""
    width, height = image.size
    if not width * height or not image.has_data:
        return None
    values = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(values)
    return np.round(values.reshape(height, width, -1)[::-1] * 255.0).clip(0, 255).astype(np.uint8)
