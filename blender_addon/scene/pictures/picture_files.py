# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's pictures as files that travel: as they lie on the disk or in the .blend where they can, so that the
server reads what a camera wrote (its turn, its 16 bits, its colours), and else Blender's pixels as a PNG.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
import numpy.typing as npt

from ...protocol.limits import DEFAULT_LIMITS
from ...protocol.specs.picture import MOST_PICTURE_BYTES, PictureHeader, picture_header
from ..errors import SceneError
from .pixels import reference_pixels

__all__ = ["PictureFile", "encode_png", "picture_file", "size_objection"]

U8 = npt.NDArray[np.uint8]
_COLOR_TYPES = {3: 2, 4: 6}
"""Of a PNG, by channels."""


@dataclass(frozen=True, eq=False)
class PictureFile:
    """A file's bytes, uint8 [N], what its header says, and the picture's name."""

    data: U8
    header: PictureHeader
    name: str


def size_objection(image: bpy.types.Image) -> str:
    """Says why no server takes a picture of this size, as a sentence; "" where one may. Cheap: drawing asks."""
    width, height = image.size
    most = DEFAULT_LIMITS.image_max
    if max(width, height) <= most:
        return ""
    return f"{image.name} is {width} x {height} pixels; a server takes {most} a side at most. Scale it down."


def picture_file(image: bpy.types.Image) -> PictureFile:
    """Returns a picture as a PNG, JPEG or WebP file.

    Raises:
        SceneError: it is no still picture, its file or its pixels are gone, or it is too large to travel.
    """
    if image.source not in ("FILE", "GENERATED", "VIEWER"):
        raise SceneError(f"{image.name} is no single picture ({image.source.lower()}); choose a still one.")
    objection = size_objection(image)
    if objection:
        raise SceneError(objection)
    data = _as_stored(image)
    header = None if data is None else _header(data)
    if data is None or header is None:
        # Painted on, made in Blender, or of a kind that only Blender reads.
        data = encode_png(reference_pixels(image, most=DEFAULT_LIMITS.image_max))
        header = _header(data)
        assert header is not None
    if len(data) > MOST_PICTURE_BYTES:
        size, most = len(data) >> 20, MOST_PICTURE_BYTES >> 20
        raise SceneError(f"The file of {image.name} has {size} MiB; a server takes {most} at most. Scale it down.")
    return PictureFile(data, header, Path(image.name).name[:128])


def encode_png(pixels: U8) -> U8:
    """Returns the file of a PNG, uint8 [N], of uint8 [H, W, 3 or 4], row 0 at the top."""
    height, width, channels = pixels.shape
    # Each line is stored as it is: a 0 before it says so.
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, width * channels)], axis=1)
    sizes = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[channels], 0, 0, 0)
    parts = ((b"IHDR", sizes), (b"IDAT", zlib.compress(lines.tobytes(), 3)), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    ]
    return np.frombuffer(b"\x89PNG\r\n\x1a\n" + b"".join(chunks), np.uint8)


def _as_stored(image: bpy.types.Image) -> U8 | None:
    """The bytes of an image's file, packed or on the disk; None where Blender shows something else, or it is gone."""
    if image.source != "FILE" or image.is_dirty:
        return None
    if image.packed_file is not None:
        return np.frombuffer(image.packed_file.data, np.uint8)
    path = Path(bpy.path.abspath(image.filepath, library=image.library))
    try:
        if path.stat().st_size > MOST_PICTURE_BYTES:
            raise SceneError(
                f"{path.name} has {path.stat().st_size >> 20} MiB; a server takes {MOST_PICTURE_BYTES >> 20} at most. "
                "Scale it down."
            )
        return np.fromfile(path, np.uint8)
    except (OSError, ValueError):
        # Blender may have its pixels still.
        return None


def _header(data: U8) -> PictureHeader | None:
    return picture_header(lambda start, end: data[start:end].tobytes())
