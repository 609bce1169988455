# SPDX-License-Identifier: Apache-2.0
"""Files whose pieces come in any order, and become bytes without one more copy."""

import ctypes
import mmap
import os

import pytest

from blender_addon.client.transfer.landing import Landing, use_large_pages

LARGE = 5 << 20


@pytest.mark.parametrize("size", [1, 10_000, LARGE + 1])
def test_pieces_in_any_order_make_the_file(size):
    data = os.urandom(size)
    landing = Landing(size)
    step = max(1, size // 7)
    for start in reversed(range(0, size, step)):
        landing.write(start, memoryview(data)[start : start + step])
    assert bytes(landing.part(0, size)) == data
    taken = landing.take()
    assert type(taken) is bytes
    assert taken == data


def test_a_file_of_no_bytes():
    landing = Landing(0)
    landing.write(0, b"")
    assert landing.take() == b""


def test_the_bytes_are_the_memory_that_was_written_to():
    landing = Landing(LARGE)
    landing.write(0, b"oak")
    part = landing.part(0, LARGE)
    written_at = ctypes.addressof(ctypes.c_char.from_buffer(part))
    part.release()
    taken = landing.take()
    given_at = ctypes.cast(ctypes.c_char_p(taken), ctypes.c_void_p).value
    assert given_at == written_at


def test_after_the_end_nothing_is_written():
    landing = Landing(4)
    landing.write(0, b"oak!")
    assert landing.take() == b"oak!"
    with pytest.raises(ValueError, match="released"):
        landing.write(0, b"elm?")


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="Linux")
def test_large_pages_are_asked_for_where_they_pay():
    with mmap.mmap(-1, LARGE) as area, memoryview(area) as view:
        assert use_large_pages(view)
        assert not use_large_pages(view[:4096])


def test_a_system_without_large_pages_is_not_asked(monkeypatch):
    monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    assert not use_large_pages(memoryview(bytearray(LARGE)))
