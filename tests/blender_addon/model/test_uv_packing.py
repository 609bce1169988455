# SPDX-License-Identifier: Apache-2.0
"""UVs come back as they were, and others are told apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.model import uv_packing
from blender_addon.model.uv_packing import pack_uvs, packed_digest, unpack_uvs, uv_digest


@given(st.lists(st.tuples(st.floats(width=32, allow_nan=False), st.floats(width=32, allow_nan=False)), max_size=20))
def test_uvs_come_back(values):
    uvs = np.array(values, np.float32).reshape(-1, 2)
    text = pack_uvs(uvs)
    assert text.isascii()
    assert packed_digest(text) == uv_digest(uvs)
    back = unpack_uvs(text)
    if len(uvs):
        assert back.tobytes() == uvs.tobytes()


def test_the_smallest_move_is_another_digest_and_the_sign_of_zero_is_none():
    uvs = np.full((6, 2), 0.5, np.float32)
    moved = uvs.copy()
    moved[3, 1] = np.nextafter(np.float32(0.5), np.float32(1.0))
    assert uv_digest(uvs) != uv_digest(moved)
    assert len(uv_digest(uvs)) == 32
    assert uv_digest(uvs) != uv_digest(uvs[:5])
    assert uv_digest(np.zeros((2, 2), np.float32)) == uv_digest(-np.zeros((2, 2), np.float32))


@pytest.mark.parametrize("text", ["", "abc", "abc:2:!!", "abc:2:AAAA", pack_uvs(np.ones((3, 2), np.float32))[:-8]])
def test_what_is_damaged_is_none(text):
    assert unpack_uvs(text) is None


def test_a_letter_that_is_none_of_the_alphabet_is_damage():
    text = pack_uvs(np.ones((3, 2), np.float32))
    assert unpack_uvs(text) is not None
    assert unpack_uvs(f"{text[:-4]}!{text[-4:]}") is None


def test_uvs_of_a_grid_take_less_room_as_text_than_they_had():
    rows, columns = np.mgrid[:64, :64].astype(np.float32) / 64
    uvs = np.stack([rows.ravel(), columns.ravel()], 1)
    assert len(pack_uvs(uvs)) < uvs.nbytes / 2


def test_another_digest_is_damage():
    text = pack_uvs(np.ones((3, 2), np.float32))
    assert unpack_uvs("0" * 32 + text[32:]) is None


def test_of_huge_meshes_only_the_digest_is_kept(monkeypatch):
    monkeypatch.setattr(uv_packing, "MOST_CORNERS", 2)
    uvs = np.ones((3, 2), np.float32)
    text = pack_uvs(uvs)
    assert packed_digest(text) == uv_digest(uvs)
    assert len(text) < 40
    assert unpack_uvs(text) is None
