# SPDX-License-Identifier: Apache-2.0
"""Masks of what stays or of what changes: from image files to booleans of a run's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from pgc.errors import TextureError
from pgc.images.reading import read_source_image
from pgc.images.sources import gray_values, profiled, tile_paths
from pgc.images.values import unit_values

__all__ = ["SourceMasks", "read_change_masks", "read_lock_masks"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SourceMasks:
    """Lock masks from files: one [S, S] bool tensor a tile, True = locked; `notes` as of `SourceTexture`."""

    masks: list[Tensor]
    notes: tuple[str, ...]


def read_lock_masks(path: Path, size: int, tiles: Sequence[int] = (1001,)) -> SourceMasks:
    """Reads one mask a tile at `size`: locked where the picture is brighter than middle gray and not transparent.

    Raises:
        TextureError: an image is missing, damaged or too big.
    """
    masks: list[Bool[Tensor, "s s"]] = []
    notes: list[str] = []
    for file in tile_paths(path, tiles).values():
        image = profiled(file, read_source_image(file), is_color=True)
        gray = gray_values(image, encode=image.linear)
        if image.alpha is not None:
            # Transparent pixels of a painted mask are unpainted ones, whatever colour lies beneath.
            gray *= unit_values(image.alpha)
        bright = gray >= 0.5
        height, width = bright.shape
        if (height, width) != (size, size):
            note = f"{file.name} is {width}x{height}, the texture {size}x{size}"
            notes.append(f"{note}: pixels of the mask are repeated or left out.")
            bright = bright[np.arange(size) * height // size][:, np.arange(size) * width // size]
        masks.append(torch.from_numpy(np.ascontiguousarray(bright)))
        notes += image.notes
    return SourceMasks(masks=masks, notes=tuple(dict.fromkeys(notes)))


def read_change_masks(path: Path, size: int, tiles: Sequence[int] = (1001,)) -> SourceMasks:
    """Reads masks of what changes, one a tile at `size`, as `read_lock_masks` reads those of what stays; locked is all
    that is not bright.

    Raises:
        TextureError: an image is missing, damaged or too big, or nothing is bright, so that nothing may change.
    """
    bright = read_lock_masks(path, size, tiles)
    if not any(bool(mask.any()) for mask in bright.masks):
        raise TextureError(
            f"Nothing in the change mask {path} is brighter than middle gray, so nothing may change; "
            "paint white where the new texture is to come."
        )
    return replace(bright, masks=[~mask for mask in bright.masks])
