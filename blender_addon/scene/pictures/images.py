# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps as Blender images. Every result is a new, packed image: undo does not cover pixels, so none is overwritten.

Nothing here reads an image's size or pixels: that would make Blender decode it, which takes seconds at 4096².
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path

import bpy

from ..errors import SceneError

__all__ = ["COLOR_SPACES", "new_packed_image", "new_tiled_image", "png_size"]

COLOR_SPACES = {
    "srgb": ("sRGB", "sRGB Encoded Rec.709 (sRGB)", "sRGB - Texture", "Utility - sRGB - Texture", "srgb_texture"),
    "linear": ("Non-Color", "Raw", "Utility - Raw", "Generic Data", "raw"),
}
"""Names in Blender's own and in common OCIO configurations. Where none fits, the configuration's roles decide."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"IEND\xaeB`\x82"


def png_size(png: bytes) -> tuple[int, int] | None:
    """Returns width and height, from the header alone; None where the bytes are no whole PNG."""
    if not png.startswith(_SIGNATURE) or png[12:16] != b"IHDR" or not png.endswith(_END):
        return None
    width, height = struct.unpack(">II", png[16:24])
    return (width, height) if width and height else None


def new_packed_image(name: str, png: bytes, color_space: str) -> bpy.types.Image:
    """Makes a new image that holds the PNG's very bytes.

    Args:
        color_space: "srgb" or "linear", as `MapFile.color_space`.

    Raises:
        SceneError: the bytes are no image.
    """
    _check(name, png)
    # The roles default_byte or data of the OCIO configuration give the colour space.
    image = bpy.data.images.new(name, 1, 1, is_data=color_space == "linear")
    # Before the pixels: a later change would make Blender read them again.
    _set_color_space(image, color_space)
    image.source = "FILE"
    image.pack(data=png, data_len=len(png))
    return image


def new_tiled_image(name: str, tiles: Mapping[int, bytes], color_space: str) -> bpy.types.Image:
    """Makes a new packed image of UDIM tiles.

    Args:
        tiles: PNG bytes by tile number, 1001 and up.

    Raises:
        SceneError: the bytes of a tile are no image.
    """
    for number, png in tiles.items():
        _check(f"{name} {number}", png)
    # Blender packs tiles only from files; it takes their bytes as they are.
    with tempfile.TemporaryDirectory(prefix="pgc_tiles_") as folder:
        for number, png in tiles.items():
            (Path(folder) / f"tile.{number}.png").write_bytes(png)
        first = min(tiles)
        image = bpy.data.images.load(str(Path(folder) / f"tile.{first}.png"))
        image.name = name
        _set_color_space(image, color_space)
        image.source = "TILED"
        image.filepath = str(Path(folder) / "tile.<UDIM>.png")
        image.tiles[0].number = first
        for number in sorted(tiles)[1:]:
            image.tiles.new(number)
        image.pack()
    # The folder is gone; a path into it would only mislead.
    image.filepath = f"//{bpy.path.clean_name(name)}.<UDIM>.png"
    return image


def _check(name: str, png: bytes) -> None:
    if png_size(png) is None:
        raise SceneError(f"The map {name} that came from the server is damaged; generate it again.")


def _set_color_space(image: bpy.types.Image, color_space: str) -> None:
    settings = image.colorspace_settings
    known = {item.identifier for item in settings.bl_rna.properties["name"].enum_items}
    wanted = next((name for name in COLOR_SPACES[color_space] if name in known), None)
    if wanted is not None:
        settings.name = wanted
    elif settings.is_data != (color_space == "linear"):
        # Neither a known name nor a role: what Blender marks as data is what we can still tell apart.
        settings.is_data = color_space == "linear"
