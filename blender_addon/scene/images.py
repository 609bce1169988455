# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps as Blender images. Every result is a new, packed image: undo does not cover pixels, so none is overwritten."""

from __future__ import annotations

import bpy
import numpy as np
import numpy.typing as npt

from .errors import SceneError

__all__ = ["COLOR_SPACES", "new_packed_image", "new_preview_image", "show_preview"]

COLOR_SPACES = {"srgb": "sRGB", "linear": "Non-Color"}


def new_packed_image(name: str, png: bytes, color_space: str) -> bpy.types.Image:
    """A new image that holds the PNG's very bytes.

    Args:
        color_space: "srgb" or "linear", as `MapFile.color_space`.

    Raises:
        SceneError: the bytes are no image.
    """
    image = bpy.data.images.new(name, 1, 1, is_data=color_space == "linear")
    # Before the pixels: a later change would make Blender read them again.
    image.colorspace_settings.name = COLOR_SPACES[color_space]
    image.source = "FILE"
    image.pack(data=png, data_len=len(png))
    if image.size[0] * image.size[1] == 0 or (not image.has_data and not _loads(image)):
        bpy.data.images.remove(image)
        raise SceneError(f"The map {name} that came from the server is damaged; generate it again.")
    return image


def _loads(image: bpy.types.Image) -> bool:
    image.update()
    return len(image.pixels) > 0


def new_preview_image(name: str, width: int, height: int) -> bpy.types.Image:
    """An image for previews, sRGB, not packed: it is thrown away at the end."""
    image = bpy.data.images.new(name, width, height, alpha=False)
    image.colorspace_settings.name = "sRGB"
    return image


def show_preview(image: bpy.types.Image, pixels: npt.NDArray[np.uint8]) -> None:
    """Put a preview into its image, in one call and without an undo step.

    Args:
        pixels: uint8 [H, W, 3], sRGB, row 0 at the top; of the image's size.

    Raises:
        SceneError: the sizes differ.
    """
    height, width = pixels.shape[:2]
    if (width, height) != tuple(image.size):
        raise SceneError(f"The preview has {width} x {height} pixels, the image {image.size[0]} x {image.size[1]}.")
    rgba = np.ones((height, width, 4), dtype=np.float32)
    rgba[..., :3] = pixels[::-1].astype(np.float32) / 255.0
    image.pixels.foreach_set(rgba.reshape(-1))
    image.update()
