# SPDX-License-Identifier: GPL-3.0-or-later
"""The small picture beside the progress bar, as an icon: drawing a panel must change no image."""

from __future__ import annotations

import bpy.utils.previews
import numpy as np
import numpy.typing as npt

from ..model.state import JobView
from ..scene.lookup import find_object
from ..scene.versions.portraits import Look, portrait
from .delivery import rendering

__all__ = ["ProgressIcons"]

_SIDE = 128
_LOOK = Look(side=96, most_polygons=20_000)
"""It is drawn anew with each preview, so that it has to be cheap."""


class ProgressIcons:
    """One picture for each job. `close` must be called at the end, or Blender complains."""

    def __init__(self) -> None:
        self._icons = bpy.utils.previews.new()

    def show(self, key: str, image: npt.NDArray[np.uint8]) -> None:
        """Takes a preview [H, W, C], row 0 at the top, as the picture of a job."""
        height, width = image.shape[:2]
        pixels = np.ones((_SIDE, _SIDE, 4), np.float32)
        rows, columns = np.arange(_SIDE)[::-1] * height // _SIDE, np.arange(_SIDE) * width // _SIDE
        pixels[..., :3] = image[rows][:, columns][..., :3].astype(np.float32) / 255.0
        icon = self._icons.get(key) or self._icons.new(key)
        icon.image_size = icon.icon_size = (_SIDE, _SIDE)
        icon.image_pixels_float.foreach_set(pixels.reshape(-1))
        icon.icon_pixels_float.foreach_set(pixels.reshape(-1))

    def show_job(self, view: JobView, image: npt.NDArray[np.uint8]) -> None:
        """Shows the object with a preview of its base color [H, W, C] on it, or else the preview itself."""
        obj = None if rendering() else find_object(view.object_uid, view.object_name)
        seen = None if obj is None else portrait(obj, view.request, image, _LOOK)
        self.show(view.key, image if seen is None else seen)

    def icon_id(self, key: str) -> int:
        """Returns the picture's id for `template_icon`; 0 where there is no picture yet."""
        icon = self._icons.get(key)
        return 0 if icon is None else icon.icon_id

    def drop(self, key: str) -> None:
        """Removes the picture of a job that has ended."""
        if key in self._icons:
            del self._icons[key]

    def close(self) -> None:
        """Removes all pictures."""
        bpy.utils.previews.remove(self._icons)
