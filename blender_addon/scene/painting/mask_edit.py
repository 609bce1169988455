# SPDX-License-Identifier: GPL-3.0-or-later
"""A mask changed as a whole, or by the faces that are selected.

The changed mask is a new image, and the old one stays as it was: Blender's undo has no pixels of images, but brings
back which image the object has.
"""

from __future__ import annotations

import bpy
import numpy as np
import numpy.typing as npt

from ...uv_measure.raster import covered_cells
from ..errors import SceneError
from ..meshes.uv_reading import read_uv_arrays

__all__ = ["MASK_ACTIONS", "edit_mask"]

MASK_ACTIONS = ("INVERT", "CLEAR", "FILL", "FACES")


def edit_mask(obj: bpy.types.Object, action: str, uv_map: str) -> None:
    """Gives the object a changed mask, as a new image.

    Args:
        action: of `MASK_ACTIONS`; FACES makes the selected faces white and leaves the rest.
        uv_map: where faces lie in the mask; one that the mesh lacks means its active one.

    Raises:
        SceneError: the image has no pixels or several tiles, or no face is selected.
    """
    image = obj.pgc.keep_mask
    width, height = image.size
    if image.source == "TILED" or not width or not height or not image.channels:
        raise SceneError(
            f"The mask {image.name} has no pixels, or several tiles; make a new mask, or choose another one."
        )
    values = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(values)
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
        case "FACES":
            color[_selected(obj, uv_map, width, height)] = 1.0
        case _:
            raise ValueError(f"Got the action {action!r}; expected one of {', '.join(MASK_ACTIONS)}.")
    obj.pgc.keep_mask = _image_of(image, values)


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


def _selected(obj: bpy.types.Object, uv_map: str, width: int, height: int) -> npt.NDArray[np.bool_]:
    """Pixels [H, W] of the selected faces, row 0 at the bottom, one pixel beyond their borders too: strokes of a brush
    bleed over a chart's border as well."""
    if obj.mode == "EDIT":
        obj.update_from_editmode()
    mesh = obj.data
    layer = uv_map if uv_map in mesh.uv_layers else mesh.uv_layers.active.name
    arrays = read_uv_arrays(mesh, layer)
    chosen = np.empty(len(mesh.polygons), np.bool_)
    mesh.polygons.foreach_get("select", chosen)
    triangles = arrays.corner_uvs[chosen[arrays.polygons]].astype(np.float64)
    if not len(triangles):
        raise SceneError(f"No face of {obj.name} is selected; select faces in Edit Mode first.")
    _, cells = covered_cells(triangles * (width, height))
    inside = ((cells >= 0) & (cells < (width, height))).all(axis=1)
    found = np.zeros((height + 2, width + 2), np.bool_)
    columns, rows = cells[inside].T
    for down in range(3):
        for across in range(3):
            found[rows + down, columns + across] = True
    return found[1:-1, 1:-1]
