# SPDX-License-Identifier: Apache-2.0
"""A picture of the object that a new shape is to be (since 1.2), and what its file's first bytes say of it: both sides
can tell its size before it travels, and before anything decodes it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from ..arrays import ArrayRef, DType
from ..errors import FieldError
from ..fields import Strict, check_text, check_within
from ..limits import DEFAULT_LIMITS

__all__ = ["MOST_PICTURE_BYTES", "PICTURE_KINDS", "PICTURE_MODEL", "PictureHeader", "PictureSpec", "picture_header"]

PICTURE_MODEL: Final = "zero123"
"""The model that sees a picture, and reads no prompt."""
PICTURE_KINDS: Final = "PNG, JPEG or WebP"
"""Files that travel, as messages name them."""
MOST_PICTURE_BYTES: Final = 64 << 20
_LEAST_BYTES, _NAME_LETTERS, _HIGHEST = 16, 128, 80.0
_MOST_SEGMENTS: Final = 4096
"""Of a JPEG before its picture; one of a camera has a dozen, or some hundred with a large thumbnail."""
_BARE_MARKERS: Final = frozenset({0x01, *range(0xD0, 0xD8)})
"""TEM and RST, which have no length."""
_NO_SEGMENTS: Final = frozenset({0x00, 0xD8, 0xD9, 0xDA})
"""No marker, a second begin, the end, and the picture itself: none of them stands before the size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSpec(Strict):
    """A picture of one object, with a transparent background or before one plain colour, from its front (-Y).

    Args:
        file: U8 [N]: a PNG, JPEG or WebP file, byte by byte; its alpha is the object's mask, its EXIF turns it.
        width, height: pixels, as its header has them.
        elevation: how high above the object the camera stood, degrees.
        name: of the file, for messages.
    """

    file: ArrayRef
    width: int
    height: int
    elevation: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        most = DEFAULT_LIMITS.image_max
        for name, side in (("width", self.width), ("height", self.height)):
            if not 1 <= side <= most:
                text = f"The picture is {self.width} x {self.height} pixels; expected sides of 1 to {most}."
                raise FieldError(name, f"{text} Make it smaller.")
        check_within("elevation", self.elevation, -_HIGHEST, _HIGHEST)
        check_text("name", self.name)
        if len(self.name) > _NAME_LETTERS:
            raise FieldError("name", f"Got {len(self.name)} letters; expected at most {_NAME_LETTERS}.")
        file = self.file
        if file.dtype is not DType.U8 or len(file.shape) != 1 or file.shape[0] < _LEAST_BYTES:
            text = f"Got {file.dtype.name} {list(file.shape)}; expected the bytes of a file, U8 [N]."
            raise FieldError("file", text)
        if file.shape[0] > MOST_PICTURE_BYTES:
            size, limit = f"{file.shape[0] / 2**20:.0f} MiB", MOST_PICTURE_BYTES >> 20
            raise FieldError("file", f"The picture's file has {size}; expected {limit} MiB at most. Make it smaller.")

    @property
    def pixels(self) -> int:
        """How many pixels it has."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """Which kind of file it is, and its picture's size in pixels, before it is turned."""

    kind: Literal["png", "jpeg", "webp"]
    width: int
    height: int


def picture_header(part: Callable[[int, int], bytes]) -> PictureHeader | None:
    """Reads a picture file's header; returns None where it is of no kind that travels, or damaged.

    Args:
        part: returns the file's bytes from one place to another, fewer at its end.
    """
    head = part(0, 32)
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR" and len(head) >= 24:
        return _sized("png", *struct.unpack(">II", head[16:24]))
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg(part)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP" and len(head) >= 30:
        return _webp(head)
    return None


def _sized(kind: Literal["png", "jpeg", "webp"], width: int, height: int) -> PictureHeader | None:
    return PictureHeader(kind, width, height) if width > 0 and height > 0 else None


def _jpeg(part: Callable[[int, int], bytes]) -> PictureHeader | None:
    """Goes from segment to segment (ITU T.81, B.1) to the one with the size."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        head = part(at, at + 9)
        if len(head) < 9 or head[0] != 0xFF:
            return None
        marker = head[1]
        if marker == 0xFF:
            # Any marker may be preceded by such bytes.
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[5:9])
            return _sized("jpeg", width, height)
        if marker in _BARE_MARKERS:
            # What follows is the next marker: taken for a length, it could lead past the size that a decoder sees.
            at += 2
            continue
        length = int.from_bytes(head[2:4], "big")
        if marker in _NO_SEGMENTS or length < 2:
            return None
        at += 2 + length
    return None


def _webp(head: bytes) -> PictureHeader | None:
    """The three kinds of RFC 9649."""
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(head[at : at + 3], "little") for at in (24, 27))
        return _sized("webp", width, height)
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return _sized("webp", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if kind == b"VP8 ":
        width, height = (value & 0x3FFF for value in struct.unpack("<HH", head[26:30]))
        return _sized("webp", width, height)
    return None
