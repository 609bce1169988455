# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels of the artist's images, as a job takes them. Blender decodes an image for it: not for drawing."""

from __future__ import annotations

import bpy
import numpy as np
import numpy.typing as npt

from ..errors import SceneError

__all__ = ["channels_of", "encoded", "encoded_colors", "reference_pixels"]

_MOST = 1024
"""Pixels a side of a reference; a server looks at no more (`pgc.images.likeness` thins a file in the same way)."""
_OPAQUE = 0.5


def encoded_colors(image: bpy.types.Image) -> npt.NDArray[np.float32]:
    """Returns float32 [H, W, 3], sRGB-encoded where the image is a colour, row 0 at the top.

    Raises:
        SceneError: its pixels are gone.
    """
    return _encoded(image, channels_of(image))


def channels_of(image: bpy.types.Image) -> npt.NDArray[np.float32]:
    """Returns float32 [H, W, channels] as Blender has them, row 0 at the top. Raises SceneError where they are gone."""
    width, height = image.size
    if not width or not height or not image.channels:
        raise SceneError(f"The pictures of {image.name} are gone; choose another image.")
    values = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(values)
    return values.reshape(height, width, image.channels)[::-1]


def reference_pixels(image: bpy.types.Image, *, most: int = _MOST) -> npt.NDArray[np.uint8]:
    """Returns a picture that a texture or a shape is to resemble: uint8 [H, W, 3], or 4 where some is transparent.

    Args:
        most: pixels a side; a larger one is thinned.

    Raises:
        SceneError: its pixels are gone, or all of it is transparent.
    """
    values = channels_of(image)
    step = -(-max(values.shape[:2]) // most)
    values = values[::step, ::step]
    alpha = values[..., 3:4] if image.channels == 4 else np.ones((*values.shape[:2], 1), np.float32)
    if not bool((alpha >= _OPAQUE).any()):
        raise SceneError(f"All of {image.name} is transparent, so it has no colors to give; choose another image.")
    if image.is_float and image.channels == 4:
        # Blender keeps colour times alpha there.
        values = np.concatenate([values[..., :3] / np.maximum(alpha, 1e-6), alpha], axis=-1)
    colors = _encoded(image, values)
    parts = [colors] if bool((alpha >= 1.0).all()) else [colors, alpha]
    return np.ascontiguousarray(np.floor(np.concatenate(parts, axis=-1).clip(0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))


def _encoded(image: bpy.types.Image, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Blender keeps images of more than 8 bits, PNG of 16 bits too, in linear light, others as their file has them."""
    colors = values[..., :3] if values.shape[-1] >= 3 else np.repeat(values[..., :1], 3, axis=-1)
    if not image.is_float or image.colorspace_settings.is_data:
        return colors
    return encoded(colors)


def encoded(linear: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns linear light sRGB-encoded."""
    power = 1.055 * np.maximum(linear, 0.0031308) ** np.float32(1.0 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, linear * np.float32(12.92), power).astype(np.float32)
