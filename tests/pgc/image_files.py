# SPDX-License-Identifier: Apache-2.0
"""Image files for tests, made chunk by chunk or through OpenImageIO, as other programs may leave them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import OpenImageIO as oiio

__all__ = ["chunk", "png_bytes", "rgb_rows", "write_with_oiio"]


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bytes(
    width: int, height: int, rows: bytes, *, bits: int = 8, kind: int = 2, interlaced: int = 0, extra: bytes = b""
) -> bytes:
    """A PNG with these fields in its header (PNG specification, 11.2.1), whether or not they fit the rows.

    `rows` are filter bytes and pixels; `extra` are whole chunks before the pixels.
    """
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    parts = chunk(b"IHDR", header), extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def rgb_rows(side: int, color: tuple[int, int, int] = (10, 20, 30)) -> bytes:
    """Rows of one colour for `png_bytes`."""
    return (b"\0" + bytes(color) * side) * side


def write_with_oiio(
    path: Path,
    pixels: np.ndarray,
    kind: str,
    *,
    names: tuple[str, ...] | None = None,
    window: tuple[int, int, int, int] | None = None,
    **attributes: object,
) -> Path:
    """`pixels` [H, W, C] as `kind` (uint8, half and so on); `window` is x, y, width and height of the picture shown.

    A double underscore in an attribute's name stands for a colon.
    """
    height, width, channels = pixels.shape
    spec = oiio.ImageSpec(width, height, channels, kind)
    if names is not None:
        spec.channelnames = names
    if window is not None:
        spec.full_x, spec.full_y, spec.full_width, spec.full_height = window
    # The writer would note the time: equal pixels would not give equal files.
    spec.attribute("DateTime", "1980:01:01 00:00:00")
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), value)
    out = oiio.ImageOutput.create(str(path))
    assert out.open(str(path), spec), out.geterror()
    assert out.write_image(np.ascontiguousarray(pixels)), out.geterror()
    assert out.close()
    return path
