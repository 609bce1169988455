# SPDX-License-Identifier: Apache-2.0
"""What a model file that names its images beside it must know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pgc.errors import MeshError
from pgc.export.packing import NormalGreen
from pgc.mesh.data import PreparedMesh

__all__ = ["SurfaceImages", "check_tiles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceImages:
    """One material's images, a map each.

    Attributes:
        files: by map and tile, a file name beside the model.
        color_is_encoded: whether colour images are sRGB-encoded (PNG) or linear (EXR).
        has_alpha: whether base colour has a fourth channel, opacity.
        normal_green: where green of the normal map points.
    """

    files: Mapping[str, Mapping[int, str]]
    color_is_encoded: bool = True
    has_alpha: bool = False
    normal_green: NormalGreen = "opengl"

    def path_of(self, name: str) -> str | None:
        """Returns the file name of a map, <UDIM> in the place of a tile; None where there is no such map."""
        tiles = self.files.get(name)
        if not tiles:
            return None
        tile, file = next(iter(tiles.items()))
        return file.replace(f".{tile}.", ".<UDIM>.")


def check_tiles(files: Mapping[str, Mapping[int, str]], prepared: PreparedMesh) -> None:
    """Raises MeshError if a map has no image for a tile of the mesh."""
    for name, tiles in files.items():
        missing = sorted(set(prepared.report.tiles) - set(tiles))
        if missing:
            raise MeshError(f"The map {name} has no image for UDIM tile {missing[0]}; give one image a tile.")
