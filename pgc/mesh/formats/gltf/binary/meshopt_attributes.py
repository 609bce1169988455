# SPDX-License-Identifier: Apache-2.0
"""The attribute codec of EXT_meshopt_compression, and its newer version of KHR_meshopt_compression (their mode 0)."""

import numpy as np
from jaxtyping import UInt8, UInt32

__all__ = ["decode_attributes"]

_GROUP = 16
_TABLES = {
    1: tuple(bytes((byte >> shift) & 1 for shift in range(8)) for byte in range(256)),
    2: tuple(bytes((byte >> shift) & 3 for shift in (6, 4, 2, 0)) for byte in range(256)),
    4: tuple(bytes((byte >> 4, byte & 15)) for byte in range(256)),
}
"""The differences that a byte holds, by how many bits each has."""
_OLD, _SMALL, _LARGE = (0, 2, 4, 8), (0, 1, 2, 4), (1, 2, 4, 8)
"""Bits of a group's differences, by its header: version 0, and control modes 0 and 1 of version 1."""


def decode_attributes(data: bytes, count: int, stride: int) -> UInt8[np.ndarray, "N S"]:
    """Decodes rows of bytes, each byte's differences from the row before stored apart, in groups of sixteen.

    Raises `ValueError` or `IndexError` where the bytes do not fit.
    """
    if data[:1] not in (b"\xa0", b"\xa1"):
        raise ValueError("an unknown version of the attribute codec")
    if stride % 4 or not 0 < stride <= 256:
        raise ValueError(f"a stride of {stride} bytes")
    newer = data[0] == 0xA1
    modes = data[len(data) - stride // 4 :] if newer else bytes(stride // 4)
    length = stride + stride // 4 if newer else stride
    tail = max(length, 24 if newer else 32)
    if len(data) < 1 + tail:
        raise ValueError("they end too soon")
    rows = np.empty((count, stride), np.uint8)
    last = np.frombuffer(data, np.uint8, stride, len(data) - length)
    block = min((8192 // stride) & ~15, 256)
    offset, end = 1, len(data) - tail
    for start in range(0, count, block):
        size = min(block, count - start)
        columns, offset = _block(data, (offset, end), (size, stride), newer)
        for channel, mode in enumerate(modes):
            part = slice(4 * channel, 4 * channel + 4)
            rows[start : start + size, part] = _accumulate(mode, columns[part].T, last[part])
        last = rows[start + size - 1]
    return rows


def _block(
    data: bytes, span: tuple[int, int], shape: tuple[int, int], newer: bool
) -> tuple[UInt8[np.ndarray, "S N"], int]:
    """The stored differences of a block's rows, byte by byte, and where the next block begins."""
    (offset, end), (size, stride) = span, shape
    control = offset
    offset += stride // 4 if newer else 0
    groups = -(-size // _GROUP)
    found = bytearray()
    for column in range(stride):
        kind = (data[control + column // 4] >> (2 * (column % 4))) & 3 if newer else -1
        if kind == 2:
            found += bytes(_GROUP * groups)
        elif kind == 3:
            found += data[offset : offset + size] + bytes(_GROUP * groups - size)
            offset += size
        else:
            part, offset = _column(data, offset, groups, {-1: _OLD, 0: _SMALL, 1: _LARGE}[kind])
            found += part
        if offset > end:
            raise ValueError("they end too soon")
    return np.frombuffer(bytes(found), np.uint8).reshape(stride, -1)[:, :size], offset


def _column(data: bytes, offset: int, groups: int, widths: tuple[int, ...]) -> tuple[bytearray, int]:
    """Differences of one byte of a block's rows, and where the next column begins."""
    header = offset
    offset += -(-groups // 4)
    found = bytearray()
    for group in range(groups):
        bits = widths[(data[header + group // 4] >> (2 * (group % 4))) & 3]
        if bits == 0:
            found += bytes(_GROUP)
            continue
        stored = data[offset : offset + 2 * bits]
        offset += 2 * bits
        if bits == 8:
            found += stored
            continue
        values = bytearray(b"".join(_TABLES[bits][byte] for byte in stored))
        # What all bits at once stand for is a difference that follows as a byte.
        sentinel = (1 << bits) - 1
        place = values.find(sentinel)
        while place >= 0:
            values[place] = data[offset]
            offset += 1
            place = values.find(sentinel, place + 1)
        found += values
    return found, offset


def _accumulate(mode: int, deltas: UInt8[np.ndarray, "N 4"], last: UInt8[np.ndarray, " 4"]) -> UInt8[np.ndarray, "N 4"]:
    """Four bytes of all rows from their differences, by the channel's mode."""
    stored, before = np.ascontiguousarray(deltas), np.ascontiguousarray(last)
    if mode in (0, 1):
        kind = "u1" if mode == 0 else "<u2"
        zigzag = stored.view(kind)
        steps = (zigzag >> 1) ^ (0 - (zigzag & 1)).astype(kind)
        return (np.cumsum(steps, axis=0, dtype=kind) + before.view(kind)).astype(kind).view(np.uint8)
    if mode & 15 != 2:
        raise ValueError(f"channel mode {mode}")
    return _exclusive_or(stored.view("<u4")[:, 0], mode >> 4, int(before.view("<u4")[0]))


def _exclusive_or(stored: UInt32[np.ndarray, " N"], turn: int, before: int) -> UInt8[np.ndarray, "N 4"]:
    turned = (stored << np.uint32(turn)) | (stored >> np.uint32((32 - turn) & 31))
    found = np.bitwise_xor.accumulate(turned) ^ np.uint32(before)
    return found.astype("<u4")[:, None].view(np.uint8)
