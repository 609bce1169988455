# SPDX-License-Identifier: Apache-2.0
"""Which format an image file has, by its first bytes, and what its header claims: all before a pixel is decoded."""

from __future__ import annotations

import struct
from pathlib import Path

from pgc.errors import TextureError
from pgc.images.png_texts import check_texts

__all__ = ["KNOWN_FORMATS", "check_claims", "sniff_format"]

KNOWN_FORMATS = "PNG, JPEG, TIFF, WebP, OpenEXR or Radiance HDR"
"""As messages name them: those that are advised; more are read."""

MAX_SIDE = 16384
MAX_PIXELS = 8192 * 8192
"""The biggest texture of a run."""
MAX_BYTES = 768 << 20
"""Of decoded pixels: 8192 x 8192 with three channels of 32 bits."""
_WEBP_BYTES = 12
"""A pixel: its decoder holds the canvas three times."""

_HEAD = 512
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\x76\x2f\x31\x01", "openexr"),
    (b"#?RADIANCE", "hdr"),
    (b"#?RGBE", "hdr"),
    (b"BM", "bmp"),
    (b"GIF8", "gif"),
    (b"8BPS", "psd"),
    (b"DDS ", "dds"),
    (b"\0\0\0\x0cjP  ", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    *((b"P%d" % kind, "pnm") for kind in range(1, 7)),
    (b"PF", "pnm"),
    (b"Pf", "pnm"),
)
_OTHERS = (
    (b"\xff\x0a", "a JPEG XL file"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL file"),
    (b"\xabKTX", "a KTX texture"),
    (b"%PDF", "a PDF file"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML file"),
    (b"gimp xcf", "a GIMP file"),
    (b"BLENDER", "a .blend file"),
)


def sniff_format(path: Path) -> str:
    """Returns OpenImageIO's name for the format of a file, whatever its suffix says: a .png that is a JPEG is read as
    one.

    Raises:
        TextureError: there is no such file, it cannot be read, or it is no image of a known format.
    """
    try:
        if path.is_dir():
            raise TextureError(f"{path} is a folder; expected an image: {KNOWN_FORMATS}.")
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError as error:
        raise TextureError(f"There is no image {path}; check the path.") from error
    except (OSError, ValueError) as error:
        raise TextureError(f"{path} cannot be opened ({error}); check the path and its rights.") from error
    if not head:
        raise TextureError(f"{path} is empty; save the image again.")
    for magic, name in _MAGIC:
        if head.startswith(magic):
            _check_early(path, name, head)
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        _check_webp(path, head)
        return "webp"
    if path.suffix.lower() in {".tga", ".targa"} and _looks_like_targa(head):
        return "targa"
    what = next((words for magic, words in _OTHERS if head.startswith(magic)), "no image that is known here")
    if head[4:12] in {b"ftypavif", b"ftypheic", b"ftypmif1"}:
        what = "an AVIF or HEIF file"
    raise TextureError(f"{path} cannot be read as an image (it is {what}); save it as {KNOWN_FORMATS}.")


def check_claims(path: Path, width: int, height: int, bytes_per_pixel: int) -> None:
    """Refuses what would cost too much to decode. Raises TextureError."""
    if width < 1 or height < 1:
        raise TextureError(f"{path} is {width}x{height} pixels; expected at least one pixel.")
    if width > MAX_SIDE or height > MAX_SIDE:
        raise TextureError(f"{path} is {width}x{height} pixels; at most {MAX_SIDE} a side are read: make it smaller.")
    if width * height > MAX_PIXELS:
        raise TextureError(f"{path} is {width}x{height} pixels; at most 8192x8192 are read: make it smaller.")
    size = width * height * bytes_per_pixel
    if size > MAX_BYTES:
        raise TextureError(
            f"{path} is {width}x{height} pixels, which take {size >> 20} MiB; at most {MAX_BYTES >> 20} MiB are read: "
            "make it smaller, or save it with fewer bits or channels."
        )


def _looks_like_targa(head: bytes) -> bool:
    """TGA has no signature: its first fields must make sense (Truevision TGA specification 2.0)."""
    if len(head) < 18:
        return False
    palette, kind, bits = head[1], head[2], head[16]
    return palette in {0, 1} and kind in {1, 2, 3, 9, 10, 11} and bits in {8, 15, 16, 24, 32}


def _check_early(path: Path, name: str, head: bytes) -> None:
    """What a file claims or carries, for formats whose decoder takes memory for it when the file is opened."""
    if name == "gif":
        # The screen, and the frame before and after (GIF89a, 18).
        width, height = struct.unpack("<HH", head[6:10].ljust(4, b"\0"))
        check_claims(path, width, height, 12)
    elif name == "png":
        check_texts(path)
    elif name == "jpeg2000":
        # The marker SIZ (ITU T.800, A.5.1); components are 32 bits wide while they are decoded.
        at = head.find(b"\xff\x4f\xff\x51")
        if at < 0 or len(head) < at + 16:
            raise TextureError(f"{path} is damaged (a JPEG 2000 without its first part); export it again.")
        width, height = struct.unpack(">II", head[at + 8 : at + 16])
        check_claims(path, width, height, 16)


def _check_webp(path: Path, head: bytes) -> None:
    """The size of a WebP's canvas, since its decoder takes memory for that when the file is opened (RFC 9649)."""
    kind = head[12:16]
    if kind == b"VP8X" and len(head) >= 30:
        width = 1 + int.from_bytes(head[24:27], "little")
        height = 1 + int.from_bytes(head[27:30], "little")
    elif kind == b"VP8L" and len(head) >= 25:
        (bits,) = struct.unpack("<I", head[21:25])
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 " and len(head) >= 30:
        width, height = (value & 0x3FFF for value in struct.unpack("<HH", head[26:30]))
    else:
        raise TextureError(f"{path} is damaged (a WebP without its first part); export it again.")
    check_claims(path, width, height, _WEBP_BYTES)
