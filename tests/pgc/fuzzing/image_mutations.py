# SPDX-License-Identifier: Apache-2.0
"""Images damaged where it hurts: sizes, depths, counts and lengths in each format's headers, and bytes anywhere."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from random import Random

from tests.pgc.fuzzing.image_seeds import Seed, whole_images
from tests.pgc.image_files import chunk

__all__ = ["ImageMutator"]

_SIZES = (
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    255,
    256,
    4096,
    8191,
    8192,
    8193,
    16384,
    50_000,
    65_535,
    65_536,
    2**24,
    2**31 - 1,
    2**31,
)
_SIZES_AND_MORE = (*_SIZES, 2**32 - 1)
_PNG_EXTRAS = (b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"sBIT", b"bKGD", b"eXIf", b"pHYs")
_JPEG_MARKERS = (0xC0, 0xC1, 0xC2, 0xC4, 0xC9, 0xDA, 0xDB, 0xDD, 0xE1, 0xE2, 0xEE)
_TIFF_TAGS = (256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 330, 338, 339, 34675)
_BOMB = zlib.compress(bytes(30_000_000))


class ImageMutator:
    """Makes damaged images; the same seed and number give the same bytes."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.seeds = whole_images()

    def case(self, number: int) -> Seed:
        """The case of a number."""
        random = Random(self._seed * 1_000_003 + number)
        seed = random.choice(self.seeds)
        data = seed.data
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            change = random.choice((_MUTATORS.get(_family(seed), _first_bytes),) * 3 + (_any_bytes,))
            data = change(data, random)
        # A right content under a wrong suffix is common, and the suffix decides for TGA alone.
        suffix = random.choice(("png", "tga", "jpg", "exr")) if random.random() < 0.05 else seed.suffix
        return Seed(suffix, data)


def _family(seed: Seed) -> str:
    return {"tif": "tiff", "jpg": "jpeg"}.get(seed.suffix, seed.suffix)


def _any_bytes(data: bytes, random: Random) -> bytes:
    """Bytes changed, cut off, doubled, swapped or put in, wherever."""
    changed = bytearray(data)
    at = random.randrange(max(1, len(changed)))
    if not changed:
        return bytes(random.randbytes(40))
    match random.randrange(6):
        case 0:
            for _ in range(random.choice((1, 2, 8))):
                changed[random.randrange(len(changed))] = random.randrange(256)
        case 1:
            changed[at] ^= 1 << random.randrange(8)
        case 2:
            del changed[at:]
        case 3:
            del changed[at : at + random.choice((1, 2, 4, 64))]
        case 4:
            changed[at:at] = random.randbytes(random.choice((1, 4, 300)))
        case _:
            value = random.choice(_SIZES_AND_MORE) & 0xFFFFFFFF
            changed[at : at + 4] = struct.pack(random.choice(("<I", ">I")), value)
    return bytes(changed)


def _first_bytes(data: bytes, random: Random) -> bytes:
    """A number in the first bytes, where formats have their sizes."""
    form = random.choice(("<B", "<H", ">H", "<I", ">I"))
    return _put(data, random.randrange(100), form, random.choice((*_SIZES_AND_MORE, *range(20))))


def _put(data: bytes, at: int, form: str, value: int) -> bytes:
    """A whole number of a form at a place, cut to the form's width."""
    width = struct.calcsize(form)
    whole = int(value) & ((1 << 8 * width) - 1)
    if at < 0 or at + width > len(data):
        return data
    return data[:at] + struct.pack(form.upper(), whole) + data[at + width :]


def _png(data: bytes, random: Random) -> bytes:
    parts = _png_chunks(data)
    if not parts:
        return _any_bytes(data, random)
    at = random.randrange(len(parts))
    kind, body = parts[at]
    match random.randrange(9):
        case 0 | 1 if parts[0][0] == b"IHDR" and len(parts[0][1]) == 13:
            header = parts[0][1]
            place, form = random.choice(((0, ">I"), (4, ">I"), (8, ">B"), (9, ">B"), (10, ">B"), (12, ">B")))
            value = random.choice(_SIZES) if form == ">I" else random.choice((0, 1, 2, 3, 4, 6, 8, 16, 32, 255))
            parts[0] = (b"IHDR", _put(header, place, form, value))
        case 2:
            parts.insert(at, random.choice(parts))
        case 3:
            del parts[at]
        case 4:
            parts[at] = (random.choice((b"IDAT", b"PLTE", b"tRNS", b"gAMA", b"IEND", b"fdAT", b"acTL", b"eXIf")), body)
        case 5:
            name = random.choice((b"zTXt", b"iCCP", b"iTXt"))
            middle = b"k\0\1\0\0\0" if name == b"iTXt" else b"k\0\0"
            parts.insert(1, (name, middle + random.choice((_BOMB, b"", random.randbytes(99)))))
        case 6:
            name = random.choice(
                (b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"sBIT", b"bKGD", b"eXIf", b"pHYs")
            )
            parts.insert(random.choice((1, at)), (name, random.randbytes(random.choice((0, 1, 3, 4, 6, 32, 768, 769)))))
        case 7:
            rows = random.choice((b"", random.randbytes(500), bytes(100_000)))
            parts = [(name, zlib.compress(rows) if name == b"IDAT" else old) for name, old in parts]
        case _:
            # A length or checksum that lies.
            whole = _png_of(parts)
            return _put(whole, whole.find(kind) - 4, ">I", random.choice(_SIZES))
    return _png_of(parts)


def _png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    parts: list[tuple[bytes, bytes]] = []
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if at + 12 + length > len(data):
            break
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return parts


def _png_of(parts: list[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, body) for kind, body in parts)


def _jpeg(data: bytes, random: Random) -> bytes:
    """Fields of a segment: size, precision, components, sampling, table numbers, lengths (ITU T.81, B.2)."""
    places = _jpeg_segments(data)
    if not places:
        return _any_bytes(data, random)
    frames = [at for at in places if data[at + 1] in {0xC0, 0xC1, 0xC2}]
    if frames and random.random() < 0.5:
        at = random.choice(frames)
        match random.randrange(4):
            case 0:
                return _put(data, at + random.choice((5, 7)), ">H", random.choice(_SIZES))
            case 1:
                return _put(data, at + 4, ">B", random.choice((0, 1, 8, 12, 16, 255)))
            case 2:
                return _put(data, at + 9, ">B", random.choice((0, 1, 2, 3, 4, 5, 255)))
            case _:
                return _put(data, at + random.choice((11, 14, 17)), ">B", random.choice((0, 0x11, 0x22, 0x44, 0xFF)))
    at = random.choice(places)
    match random.randrange(4):
        case 0:
            return _put(data, at + 2, ">H", random.choice(_SIZES))
        case 1:
            return _put(data, at + 1, ">B", random.choice(_JPEG_MARKERS))
        case 2:
            other = random.choice(places)
            return data[:at] + data[other : other + 40] + data[at:]
        case _:
            return _put(data, at + 4 + random.randrange(30), ">B", random.randrange(256))


def _jpeg_segments(data: bytes) -> list[int]:
    places = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in {0xD9}:
        places.append(at)
        if data[at + 1] == 0xDA:
            break
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return places


def _tiff(data: bytes, random: Random) -> bytes:
    """An entry of the first directory: tag, type, count, value (TIFF 6.0, section 2)."""
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 10:
        return _any_bytes(data, random)
    (start,) = struct.unpack(f"{order}I", data[4:8])
    if start + 2 > len(data):
        return _any_bytes(data, random)
    (count,) = struct.unpack(f"{order}H", data[start : start + 2])
    entry = start + 2 + 12 * random.randrange(max(1, min(count, 40)))
    match random.randrange(6):
        case 0:
            tags = (
                256,
                257,
                258,
                259,
                262,
                273,
                277,
                278,
                279,
                284,
                317,
                320,
                322,
                323,
                324,
                325,
                338,
                339,
                34675,
                330,
            )
            return _put(data, entry, f"{order}H", random.choice(tags))
        case 1:
            return _put(data, entry + 2, f"{order}H", random.choice((1, 2, 3, 4, 5, 11, 12, 13, 16, 99)))
        case 2:
            return _put(data, entry + 4, f"{order}I", random.choice(_SIZES_AND_MORE))
        case 3:
            return _put(
                data, entry + 8, f"{order}I", random.choice((*_SIZES_AND_MORE, *range(10), 32773, 34712, 50001))
            )
        case 4:
            return _put(data, start, f"{order}H", random.choice((0, 1, 5, 300, 65_535)))
        case _:
            return _put(
                data, random.choice((4, start + 2 + 12 * count)), f"{order}I", random.choice((start, 0, 4, 2**31))
            )


def _exr(data: bytes, random: Random) -> bytes:
    """The value of an attribute of the header, or its size (OpenEXR file layout)."""
    names = (b"channels", b"compression", b"dataWindow", b"displayWindow", b"lineOrder", b"tiles", b"pixelAspectRatio")
    found = [(name, data.find(name + b"\0")) for name in names]
    found = [(name, at) for name, at in found if at >= 0]
    if not found:
        return _any_bytes(data, random)
    name, at = random.choice(found)
    size_at = data.find(b"\0", at + len(name) + 1) + 1
    if size_at + 8 > len(data):
        return _any_bytes(data, random)
    if random.random() < 0.2:
        return _put(data, size_at, "<I", random.choice(_SIZES_AND_MORE))
    (size,) = struct.unpack("<I", data[size_at : size_at + 4])
    place = size_at + 4 + random.randrange(max(1, min(size, 64)))
    if name in {b"dataWindow", b"displayWindow"}:
        return _put(data, size_at + 4 + 4 * random.randrange(4), "<I", random.choice((*_SIZES_AND_MORE, 2**32 - 9)))
    if name == b"tiles":
        return _put(data, size_at + 4 + 4 * random.randrange(2), "<I", random.choice(_SIZES_AND_MORE))
    if random.random() < 0.3:
        # The table of offsets follows the header.
        end = data.find(b"\0\0", size_at + size)
        return _put(data, end + 1 + 8 * random.randrange(4), "<I", random.choice(_SIZES_AND_MORE))
    return _put(data, place, "<B", random.choice((0, 1, 2, 3, 4, 6, 8, 9, 10, 127, 255)))


def _hdr(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n", 4)
    at = next((index for index, line in enumerate(lines) if line[:2] in {b"-Y", b"+Y", b"-X", b"+X"}), None)
    if at is None or random.random() < 0.3:
        return _any_bytes(data, random)
    size = f"{random.choice((*_SIZES, -1, -8))} {random.choice('+-')}{random.choice('XY')} {random.choice(_SIZES)}"
    lines[at] = random.choice((b"-Y ", b"+Y ", b"-X ", b"")) + size.encode()
    return b"\n".join(lines)


def _webp(data: bytes, random: Random) -> bytes:
    """Sizes of chunks and of the canvas (RFC 9649)."""
    match random.randrange(5):
        case 0:
            return _put(data, random.choice((4, 16)), "<I", random.choice(_SIZES_AND_MORE))
        case 1:
            return _put(data, random.choice((21, 24, 26, 27, 28)), "<I", random.choice(_SIZES_AND_MORE))
        case 2:
            kind = random.choice((b"VP8 ", b"VP8L", b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"ICCP"))
            at = random.choice([place for place in (12, data.find(b"VP8", 20), data.find(b"ANMF")) if place >= 0])
            return data[:at] + kind + data[at + 4 :]
        case 3:
            return _put(data, 20, "<B", random.randrange(256))
        case _:
            return _any_bytes(data, random)


def _header(places: tuple[tuple[int, str], ...]) -> Callable[[bytes, Random], bytes]:
    """Changes one of the fields of a fixed header."""

    def change(data: bytes, random: Random) -> bytes:
        at, form = random.choice(places)
        small = (0, 1, 2, 3, 4, 8, 9, 10, 11, 15, 16, 24, 32, 64, 128, 255)
        return _put(data, at, form, random.choice(small if form == "<B" else (*small, *_SIZES_AND_MORE)))

    return change


_BMP_FIELDS = (
    (2, "<I"),
    (10, "<I"),
    (14, "<I"),
    (18, "<I"),
    (22, "<I"),
    (26, "<H"),
    (28, "<H"),
    (30, "<I"),
    (46, "<I"),
)
_TGA_FIELDS = tuple((at, "<B") for at in (0, 1, 2, 7, 16, 17)) + tuple((at, "<H") for at in (3, 5, 8, 10, 12, 14))
_MUTATORS: dict[str, Callable[[bytes, Random], bytes]] = {
    "png": _png,
    "jpeg": _jpeg,
    "tiff": _tiff,
    "exr": _exr,
    "hdr": _hdr,
    "webp": _webp,
    "bmp": _header(_BMP_FIELDS),
    "tga": _header(_TGA_FIELDS),
}
