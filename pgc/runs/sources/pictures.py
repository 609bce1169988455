# SPDX-License-Identifier: Apache-2.0
"""Images that a run is given beside its mesh: what it starts from, and what it is to resemble."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pgc.images.likeness import read_likeness
from pgc.images.sources import SourceTexture, read_material, read_texture
from pgc.texture.field import from_uint8_values

__all__ = ["likeness_tensor", "read_reference", "read_start"]


def read_start(path: Path, size: int, tiles: Sequence[int]) -> SourceTexture:
    """Reads what a run starts from: an image of base colour, or a folder with maps."""
    return read_material(path, size, tiles) if path.is_dir() else read_texture(path, size, tiles)


def read_reference(path: Path) -> Float[Tensor, "1 3 s s"]:
    """Reads a picture whose colours and patterns matter, and neither its size nor its shape."""
    return likeness_tensor(read_likeness(path))


def likeness_tensor(pixels: UInt8[np.ndarray, "s s 3"]) -> Float[Tensor, "1 3 s s"]:
    """Returns what `pgc.images.likeness` made as a run takes it."""
    return from_uint8_values(torch.from_numpy(pixels).permute(2, 0, 1))[None]
