# SPDX-License-Identifier: GPL-3.0-or-later
"""A mask changed as a whole, or by the faces that are selected.

The changed mask is a new image, and the old one stays as it was: Blender's undo has no pixels of images, but brings
back which image the object has.
"""

from __future__ import annotations

import bpy
import numpy as np
import numpy.typing as npt

from ..errors import SceneError
from .mask_values import MESH_ACTIONS, mesh_pixels

__all__ = ["MASK_ACTIONS", "edit_mask", "mask_copy"]

MASK_ACTIONS = ("INVERT", "CLEAR", "FILL", "GROW", "SHRINK", *MESH_ACTIONS)
_GROWN = 64
"""Grow and Shrink move the border by the mask's side over this."""


def edit_mask(obj: bpy.types.Object, action: str, uv_map: str) -> None:
    """Gives the object a changed mask, as a new image.

    Args:
        action: of `MASK_ACTIONS`; those of `MESH_ACTIONS` make something of the mesh white and leave the rest.
        uv_map: where faces lie in the mask; one that the mesh lacks means its active one.

    Raises:
        SceneError: the image has no pixels or several tiles, or the mesh has nothing of what is asked for.
    """
    image = obj.pgc.keep_mask
    values = _values(image)
    width, height = image.size
    shaped = values.reshape(height, width, image.channels)
    # Alpha, where there is one, says nothing of the mask.
    color = shaped[..., : min(image.channels, 3)]
    match action:
        case "INVERT":
            color[:] = 1.0 - color
        case "CLEAR":
            color[:] = 0.0
        case "FILL":
            color[:] = 1.0
        case "GROW":
            color[:] = _grown(color)
        case "SHRINK":
            color[:] = 1.0 - _grown(1.0 - color)
        case _:
            color[:] = np.maximum(color, mesh_pixels(obj, action, uv_map, (width, height))[..., None])
    obj.pgc.keep_mask = _image_of(image, values)


def mask_copy(image: bpy.types.Image) -> bpy.types.Image:
    """Returns a copy with the pixels that are seen; Blender's own copy has those that were last stored.

    Raises:
        SceneError: the image has no pixels or several tiles.
    """
    return _image_of(image, _values(image))


def _values(image: bpy.types.Image) -> npt.NDArray[np.float32]:
    """A mask's pixels, flat."""
    width, height = image.size
    if image.source == "TILED" or not width or not height or not image.channels:
        raise SceneError(
            f"The mask {image.name} has no pixels, or several tiles; make a new mask, or choose another one."
        )
    values = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(values)
    return values


def _image_of(old: bpy.types.Image, values: npt.NDArray[np.float32]) -> bpy.types.Image:
    """A new image like the old one with other pixels. It is packed at once: a redo would find it black else."""
    width, height = old.size
    new = bpy.data.images.new(old.name, width, height, alpha=old.channels == 4, is_data=True, float_buffer=old.is_float)
    new.colorspace_settings.name = old.colorspace_settings.name
    if new.channels != old.channels:
        shaped = values.reshape(height, width, old.channels)
        full = np.ones((height, width, new.channels), np.float32)
        full[..., :3] = shaped[..., :3] if old.channels >= 3 else shaped[..., :1]
        values = full.ravel()
    new.pixels.foreach_set(values)
    new.pack()
    return new


def _grown(color: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The greatest of a pixel's surroundings, [H, W, C]: a square, one axis after the other. In steps that double, so
    that a large mask takes three pictures' memory and few passes.
    """
    reach = max(1, max(color.shape[:2]) // _GROWN)
    grown = color.copy()
    for axis in (0, 1):
        left = reach
        step = 1
        while left > 0:
            step = min(step, left)
            before, lines = np.moveaxis(grown, axis, 0).copy(), np.moveaxis(grown, axis, 0)
            np.maximum(lines[step:], before[:-step], out=lines[step:])
            np.maximum(lines[:-step], before[step:], out=lines[:-step])
            left -= step
            step *= 2
    return grown
