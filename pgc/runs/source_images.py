# SPDX-License-Identifier: Apache-2.0
"""Images that a run is given beside its mesh: what it starts from, and what it is to resemble."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from pgc.images.sources import SourceTexture, read_material, read_texture

__all__ = ["read_likeness", "read_start"]

_LIKENESS_SIDE = 256


def read_start(path: Path, size: int, tiles: Sequence[int]) -> SourceTexture:
    """Reads what a run starts from: an image of base colour, or a folder with maps."""
    return read_material(path, size, tiles) if path.is_dir() else read_texture(path, size, tiles)


def read_likeness(path: Path) -> Float[Tensor, "1 3 s s"]:
    """Reads a picture whose colours and patterns matter, and neither its size nor its shape."""
    return read_texture(path, _LIKENESS_SIDE).texture.maps["base_color"][0][None]
