# SPDX-License-Identifier: GPL-3.0-or-later
"""Previews made ready for Blender in the client's thread, so that the main thread only copies them. Without Blender."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..client.events import Event, JobCancelled, JobFailed, JobFinished, JobPreview
from .maps import COLOR_MAPS

__all__ = ["MAX_SIDE", "AtlasPlace", "FrameComposer", "PreviewFrame"]

MAX_SIDE = 1024
"""Pixels of a frame's longer side: what one tick can copy."""


@dataclass(frozen=True)
class AtlasPlace:
    """Where the UDIM tiles of a frame lie: `columns` x `rows` cells from tile (`u`, `v`) on, v upwards.

    A surface point (u, v) is at ((u - self.u) / columns, (v - self.v) / rows) of the frame.
    """

    u: int = 0
    v: int = 0
    columns: int = 1
    rows: int = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class PreviewFrame(JobPreview):
    """A preview with all tiles of its map, as Blender wants pixels.

    `rgba`: float32 [H * W * 4], rows from the bottom, alpha 1; colour maps linear (Rec. 709), others as they are.
    """

    rgba: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    width: int = 0
    height: int = 0
    place: AtlasPlace = AtlasPlace()


class FrameComposer:
    """Turns each JobPreview into a PreviewFrame; other events pass. Used from one thread."""

    def __init__(self) -> None:
        self._tiles: dict[tuple[str, str], dict[int, npt.NDArray[np.uint8]]] = {}

    def __call__(self, event: Event) -> Event:
        """Returns the frame of a JobPreview; any other event as it is."""
        match event:
            case JobPreview():
                tiles = self._tiles.setdefault((event.job, event.map), {})
                tiles[event.tile] = event.image
                return _frame(event, tiles)
            case JobFinished() | JobFailed() | JobCancelled():
                for key in [key for key in self._tiles if key[0] == event.job]:
                    del self._tiles[key]
            case _:
                pass
        return event


def _frame(event: JobPreview, tiles: dict[int, npt.NDArray[np.uint8]]) -> PreviewFrame:
    place = _place(tiles)
    side = max(max(image.shape[:2]) for image in tiles.values())
    cell = max(1, min(side, MAX_SIDE // max(place.columns, place.rows)))
    width, height = cell * place.columns, cell * place.rows
    rgba = np.zeros((height, width, 4), np.float32)
    rgba[..., 3] = 1.0
    values = _LINEAR if event.map in COLOR_MAPS else _PLAIN
    for tile, image in tiles.items():
        column, row = (tile - 1001) % 10 - place.u, (tile - 1001) // 10 - place.v
        rgba[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell, :3] = values[_fitted(image, cell)]
    return PreviewFrame(
        event.job,
        event.seq,
        event.step,
        event.map,
        event.tile,
        event.image,
        event.cost,
        rgba=rgba.reshape(-1),
        width=width,
        height=height,
        place=place,
    )


def _place(tiles: dict[int, npt.NDArray[np.uint8]]) -> AtlasPlace:
    columns = [(tile - 1001) % 10 for tile in tiles]
    rows = [(tile - 1001) // 10 for tile in tiles]
    u, v = min(columns), min(rows)
    return AtlasPlace(u, v, max(columns) - u + 1, max(rows) - v + 1)


def _fitted(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """[side, side, 3], rows from the bottom; single texels are taken, nothing is blended."""
    height, width = image.shape[:2]
    pixels = image[::-1] if image.shape[2] != 1 else np.repeat(image[::-1], 3, axis=2)
    if (height, width) != (side, side):
        pixels = pixels[np.arange(side) * height // side][:, np.arange(side) * width // side]
    return pixels[..., :3]


def _srgb_to_linear() -> npt.NDArray[np.float32]:
    """IEC 61966-2-1, for all 256 values of a byte."""
    encoded = np.arange(256) / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


_LINEAR = _srgb_to_linear()
_PLAIN = (np.arange(256) / 255.0).astype(np.float32)
