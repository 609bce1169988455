# SPDX-License-Identifier: Apache-2.0
"""Texts of a PNG, which its decoder inflates and keeps: a thousand of them, 8 KiB each, may become 8 GiB.

Those that it passes over, since they are too large or damaged, it has inflated all the same: they cost time instead.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from pgc.errors import TextureError

__all__ = ["MOST_TEXT", "check_texts"]

MOST_TEXT = 64 << 20
"""Bytes that are inflated for all texts together."""
_LARGEST = 8_000_000
"""libpng stops inflating a text there, and passes over it."""
_STEP = 1 << 20
_SIGNATURE = 8
_KINDS = frozenset({b"zTXt", b"iTXt"})


def check_texts(path: Path) -> None:
    """Refuses a PNG whose compressed texts would fill the memory, or take the decoder seconds.

    Raises:
        TextureError: they inflate to more than `MOST_TEXT`.
        OSError: the file cannot be read.
    """
    total = 0
    for kind, data in _texts(path):
        total += _inflated(_packed(kind, data))
        if total > MOST_TEXT:
            raise TextureError(
                f"{path} carries texts of more than {MOST_TEXT >> 20} MiB beside its pixels; save it again without "
                "metadata."
            )


def _texts(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yields kind and data of each chunk that holds text; what is cut off or damaged is the decoder's to tell."""
    with path.open("rb") as file:
        file.seek(_SIGNATURE)
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            if kind == b"IEND":
                return
            if kind in _KINDS:
                yield kind, file.read(size)
                file.seek(4, 1)
            else:
                file.seek(size + 4, 1)


def _packed(kind: bytes, data: bytes) -> bytes:
    """Returns the compressed part (PNG specification, 11.3.3); empty where there is none."""
    _keyword, _zero, rest = data.partition(b"\0")
    if kind == b"zTXt":
        return rest[1:]
    is_packed, texts = rest[:1] == b"\1", rest[2:].split(b"\0", 2)
    return texts[2] if is_packed and len(texts) == 3 else b""


def _inflated(packed: bytes) -> int:
    """Counts the bytes that a decoder inflates of it, and takes no more than a MiB for that."""
    inflater, size = zlib.decompressobj(), 0
    try:
        while packed and size <= _LARGEST:
            size += len(inflater.decompress(packed, _STEP))
            packed = inflater.unconsumed_tail
    except zlib.error:  # Damaged: the decoder passes over it, here too.
        return size
    return size
