# SPDX-License-Identifier: Apache-2.0
"""EXT_meshopt_compression: a buffer view's bytes from their compressed form (bitstreams of the extension's appendix A).

Numbers and sizes come from strangers: what a view says it unpacks to is checked against what its bytes can hold.
"""

import numpy as np
from jaxtyping import UInt8

from pgc.errors import MeshError
from pgc.gltf_reading.fields import Fields
from pgc.gltf_reading.meshopt_filters import apply_filter
from pgc.gltf_reading.meshopt_indices import decode_indices, decode_triangles

__all__ = ["decode_attributes", "decode_meshopt"]

_GROUP = 16
_MAX_BYTES = 1 << 28
"""Of one view; the vertices of two million triangles without indices need less."""
_TWO_BITS = tuple(bytes((byte >> shift) & 3 for shift in (6, 4, 2, 0)) for byte in range(256))
_FOUR_BITS = tuple(bytes((byte >> 4, byte & 15)) for byte in range(256))


def decode_meshopt(packed: Fields, data: memoryview) -> bytes:
    """The bytes of a view, `count` rows of `byteStride`. `packed` is the extension's object, `data` its bytes.

    Raises `MeshError` for modes and versions that are not known, and for bytes that do not fit.
    """
    count, stride, mode = packed.integer("count"), packed.integer("byteStride"), packed.text("mode")
    least = {"ATTRIBUTES": count * stride // 64, "TRIANGLES": count // 3, "INDICES": count}.get(mode)
    if least is None:
        raise _damaged(packed, f"its mode is {mode[:20]!r}")
    if least > len(data) or stride > 256 or count * stride > _MAX_BYTES:
        raise _damaged(packed, f"{len(data):,} bytes cannot hold {count:,} rows of {stride} bytes")
    try:
        if mode == "ATTRIBUTES":
            decoded = decode_attributes(bytes(data), count, stride)
            return apply_filter(packed.text("filter", "NONE"), decoded).tobytes()
        indices = (decode_triangles if mode == "TRIANGLES" else decode_indices)(bytes(data), count)
        return indices.astype({2: "<u2", 4: "<u4"}[stride]).tobytes()
    except (ValueError, IndexError, KeyError) as exc:
        raise _damaged(packed, str(exc) or "they end too soon") from exc


def _damaged(packed: Fields, why: str) -> MeshError:
    return MeshError(
        f"{packed.source}: the compressed bytes of {packed.place} cannot be decoded ({why}); the file is damaged "
        "or of a newer kind: export it uncompressed (gltfpack: without -c)."
    )


def decode_attributes(data: bytes, count: int, stride: int) -> UInt8[np.ndarray, "N S"]:
    """Mode 0: rows of bytes, each byte's differences from the row before stored apart, in groups of sixteen.

    Raises `ValueError` or `IndexError` where the bytes do not fit.
    """
    if data[:1] != b"\xa0":
        raise ValueError("not version 0 of the attribute codec")
    if stride % 4 or not 0 < stride <= 256:
        raise ValueError(f"a stride of {stride} bytes")
    tail = max(stride, 32)
    if len(data) < 1 + tail:
        raise ValueError("they end too soon")
    rows = np.empty((count, stride), np.uint8)
    last = np.frombuffer(data, np.uint8, stride, len(data) - stride)
    block = min((8192 // stride) & ~15, 256)
    offset, end = 1, len(data) - tail
    for start in range(0, count, block):
        size = min(block, count - start)
        deltas = bytearray()
        for _ in range(stride):
            column, offset = _column(data, offset, end, -(-size // _GROUP))
            deltas += column
        zigzag = np.frombuffer(bytes(deltas), np.uint8).reshape(stride, -1)[:, :size]
        steps = (zigzag >> 1) ^ (0 - (zigzag & 1)).astype(np.uint8)
        rows[start : start + size] = (np.cumsum(steps, axis=1, dtype=np.uint8) + last[:, None]).T
        last = rows[start + size - 1]
    return rows


def _column(data: bytes, offset: int, end: int, groups: int) -> tuple[bytearray, int]:
    """Differences of one byte of the rows of a block, and where the next column begins."""
    header = offset
    offset += -(-groups // 4)
    found = bytearray()
    for group in range(groups):
        bits = (data[header + group // 4] >> (2 * (group % 4))) & 3
        if bits == 0:
            found += bytes(_GROUP)
        elif bits == 3:
            found += data[offset : offset + _GROUP]
            offset += _GROUP
        else:
            width, table, sentinel = (4, _TWO_BITS, 3) if bits == 1 else (8, _FOUR_BITS, 15)
            values = bytearray(b"".join(table[byte] for byte in data[offset : offset + width]))
            offset += width
            place = values.find(sentinel)
            while place >= 0:
                values[place] = data[offset]
                offset += 1
                place = values.find(sentinel, place + 1)
            found += values
        if offset > end:
            raise ValueError("they end too soon")
    return found, offset
