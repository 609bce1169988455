# SPDX-License-Identifier: Apache-2.0
"""Parts of a PNG that are no pixels cost no memory, however much they inflate to."""

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the memory of a process is measured with resource")
SIDE = 64
INFLATED = 200 << 20
READ = """
import json, resource, sys, time
from pathlib import Path
from pgc.errors import PgcError
from pgc.images.writing import read_image
unit = 1 if sys.platform == "darwin" else 1024
read_image(Path(sys.argv[1]), "color")
for name in sys.argv[2:]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        told = list(read_image(Path(name), "color").shape)
    except PgcError as error:
        told = str(error)
    print(json.dumps([told, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit >> 20]))
"""
WHOLE = [3, SIDE, SIDE]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(*extra: bytes, side: int = SIDE, more: bytes = b"", after: bytes = b"") -> bytes:
    """`extra`: chunks before the pixels; `more`: bytes that follow the rows in their stream; `after`: chunks behind."""
    rows = b"".join(b"\0" + bytes([120, 80, 40]) * SIDE for _ in range(SIDE)) + more
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress(rows, 9))
    return b"".join([b"\x89PNG\r\n\x1a\n", header, *extra, pixels, after, _chunk(b"IEND", b"")])


def _frames(count: int) -> bytes:
    """An animation's frames, each as large as the picture."""
    control = struct.pack(">IIIIIHHBB", 0, SIDE, SIDE, 0, 0, 1, 10, 0, 0)
    return b"".join(_chunk(b"fcTL", control) + _chunk(b"fdAT", bytes(4) + bytes(100)) for _ in range(count))


def _cases() -> dict[str, tuple[bytes, object]]:
    padding = zlib.compress(b"x" * INFLATED, 9)
    many = zlib.compress(b"x" * (1 << 20), 9)
    torn = zlib.compress(b"x" * (7 << 20), 9)[:-8] + bytes(8)
    return {
        "a text": (_png(_chunk(b"zTXt", b"Comment\0\0" + padding)), WHOLE),
        "an international text": (_png(_chunk(b"iTXt", b"Comment\0\1\0\0\0" + padding)), WHOLE),
        "a profile": (_png(_chunk(b"iCCP", b"sRGB\0\0" + padding)), WHOLE),
        "three hundred texts of a MiB": (
            _png(*[_chunk(b"zTXt", b"C%d\0\0" % n + many) for n in range(300)]),
            "MiB beside",
        ),
        "and international ones": (_png(*[_chunk(b"iTXt", b"C\0\1\0\0\0" + many)] * 99), "MiB beside"),
        "texts that are too large, which a decoder inflates and drops": (
            _png(*[_chunk(b"zTXt", b"C%d\0\0" % n + padding) for n in range(9)]),
            "MiB beside",
        ),
        "four of them": (_png(*[_chunk(b"zTXt", b"C%d\0\0" % n + padding) for n in range(4)]), WHOLE),
        "texts that are damaged behind their first eight MiB": (
            _png(*[_chunk(b"zTXt", b"C%d\0\0" % n + torn) for n in range(20)]),
            "MiB beside",
        ),
        "twenty of them": (_png(*[_chunk(b"zTXt", b"C%d\0\0" % n + many) for n in range(20)]), WHOLE),
        "a hundred thousand chunks that nobody knows": (_png(_chunk(b"juNk", b"") * 100_000), WHOLE),
        "pixels that go on after the last row": (_png(more=bytes(INFLATED)), WHOLE),
        "two thousand frames of an animation": (_png(_chunk(b"acTL", bytes(8)), after=_frames(2000)), WHOLE),
        "a million things of a suggested palette": (_png(_chunk(b"sPLT", b"p\0\x08" + bytes(600_000))), WHOLE),
        "a side of 40,000 with the pixels of 64": (_png(side=40_000), "cannot be read as an image"),
    }


@pytest.mark.slow
def test_what_is_no_pixel_costs_no_memory_and_what_is_none_is_refused(tmp_path: Path) -> None:
    """A text, an international text and a profile of 200 MiB were known before; the rest is of their kind."""
    plain = tmp_path / "plain.png"
    plain.write_bytes(_png())
    cases = _cases()
    files = [tmp_path / f"{number}.png" for number in range(len(cases))]
    for file, (content, _expected) in zip(files, cases.values(), strict=True):
        file.write_bytes(content)
        assert file.stat().st_size < 2 << 20
    command = [sys.executable, "-c", READ, str(plain), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    for (name, (_content, expected)), (told, more) in zip(cases.items(), found, strict=True):
        assert more < 64, (name, more)
        if isinstance(expected, str):
            assert isinstance(told, str), name
            assert expected in told
        else:
            assert told == expected, name
