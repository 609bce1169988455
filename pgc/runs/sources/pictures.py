# SPDX-License-Identifier: Apache-2.0
"""Images that a run is given beside its mesh: what it starts from, and what it is to resemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pgc.images.likeness import read_front, read_likeness
from pgc.images.sources import SourceTexture, material_files, read_maps, tile_paths
from pgc.maps import MapName
from pgc.texture.field import from_uint8_values

__all__ = ["likeness_tensor", "read_front_view", "read_reference", "read_start"]


def read_start(path: Path, others: Mapping[MapName, Path], size: int, tiles: Sequence[int]) -> SourceTexture:
    """Reads what a run starts from: an image of base colour or a folder with maps, and single maps that win over it.

    Raises:
        TextureError: an image is missing, damaged or too big.
    """
    files = material_files(path, tiles) if path.is_dir() else {"base_color": list(tile_paths(path, tiles).values())}
    more = {name: list(tile_paths(file, tiles).values()) for name, file in others.items()}
    return read_maps({**files, **more}, size, tiles)


def read_reference(path: Path) -> Float[Tensor, "1 3 s s"]:
    """Reads a picture whose colours and patterns matter, and neither its size nor its shape."""
    return likeness_tensor(read_likeness(path))


def read_front_view(path: Path, resolution: int) -> Float[Tensor, "1 4 s s"]:
    """Reads a picture that the front is to look like, sRGB and alpha in [0, 1]; beyond its own edges it is
    transparent."""
    return from_uint8_values(torch.from_numpy(read_front(path, resolution)).permute(2, 0, 1))[None]


def likeness_tensor(pixels: UInt8[np.ndarray, "s s 3"]) -> Float[Tensor, "1 3 s s"]:
    """Returns what `pgc.images.likeness` made as a run takes it."""
    return from_uint8_values(torch.from_numpy(pixels).permute(2, 0, 1))[None]
