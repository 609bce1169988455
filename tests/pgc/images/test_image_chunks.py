# SPDX-License-Identifier: Apache-2.0
"""Parts of a PNG that are no pixels cost no memory, however much they inflate to."""

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
import resource, sys
from pathlib import Path
from pgc.images.writing import read_image
read_image(Path(sys.argv[1]), "color")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pixels = read_image(Path(sys.argv[2]), "color")
unit = 1 if sys.platform == "darwin" else 1024
print(tuple(pixels.shape), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit >> 20)
"""


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(*extra: bytes) -> bytes:
    rows = b"".join(b"\0" + bytes([120, 80, 40]) * SIDE for _ in range(SIDE))
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0))
    return b"".join([b"\x89PNG\r\n\x1a\n", header, *extra, _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b"")])


@pytest.mark.parametrize(
    ("kind", "head"), [(b"zTXt", b"Comment\0\0"), (b"iTXt", b"Comment\0\1\0\0\0"), (b"iCCP", b"sRGB\0\0")]
)
def test_a_huge_text_or_profile_in_a_png_is_passed_over(tmp_path: Path, kind: bytes, head: bytes) -> None:
    plain, bomb = tmp_path / "plain.png", tmp_path / "bomb.png"
    plain.write_bytes(_png())
    bomb.write_bytes(_png(_chunk(kind, head + zlib.compress(b"x" * INFLATED, 9))))
    assert bomb.stat().st_size < 1 << 20
    done = subprocess.run(
        [sys.executable, "-c", READ, str(plain), str(bomb)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    shape, more = done.stdout.rsplit(" ", 1)
    assert shape == "(3, 64, 64)"
    assert int(more) < 64
