# SPDX-License-Identifier: Apache-2.0
"""Where the pieces of a file come together as bytes, with no more copies and page faults than must be."""

from __future__ import annotations

import ctypes
import io
import mmap

from ...protocol.codec import Buffer

__all__ = ["Landing", "use_large_pages"]

_WORTH_IT = 4 << 20
"""Bytes from which on large pages (2 MiB mostly) pay."""


class Landing:
    """Room for a file of `size` bytes; pieces may come in any order.

    Raises:
        MemoryError: there is no such room.
    """

    def __init__(self, size: int) -> None:
        # Zeros that the system promises, and gives only where something is written.
        self._file = io.BytesIO(bytes(size))
        self._view = self._file.getbuffer()
        use_large_pages(self._view)

    def write(self, offset: int, piece: Buffer) -> None:
        """Puts a piece in its place."""
        self._view[offset : offset + len(piece)] = piece

    def part(self, start: int, end: int) -> memoryview:
        """Returns what is there now in [start, end)."""
        return self._view[start:end]

    def take(self) -> bytes:
        """Returns the file, at the end: the memory itself, not a copy of it. Nothing can be written after that."""
        self._view.release()
        return self._file.getvalue()


def use_large_pages(buffer: memoryview) -> bool:
    """Makes the system back a large writable buffer by large pages when it is first written to: one page fault in place
    of 512. Returns whether the system was asked. A hint that changes no byte; only Linux has it.
    """
    advice = getattr(mmap, "MADV_HUGEPAGE", None)
    if advice is None or buffer.nbytes < _WORTH_IT:
        return False
    madvise = getattr(ctypes.CDLL(None), "madvise", None)
    if madvise is None:
        return False
    start = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    skipped = -start % mmap.PAGESIZE  # It takes whole pages.
    length = (buffer.nbytes - skipped) // mmap.PAGESIZE * mmap.PAGESIZE
    return madvise(ctypes.c_void_p(start + skipped), ctypes.c_size_t(length), ctypes.c_int(advice)) == 0
