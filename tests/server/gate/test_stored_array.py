# SPDX-License-Identifier: Apache-2.0
"""A file that is read as it is looked at shows what the array holds."""

import numpy as np
import pytest

from server.gate.stored_array import StoredArray


@pytest.fixture
def whole():
    return np.random.default_rng(3).random((1000, 3, 2), np.float32)


@pytest.fixture
def stored(whole, tmp_path):
    path = tmp_path / "array"
    path.write_bytes(whole.tobytes())
    return StoredArray(path, whole.dtype, whole.shape)


@pytest.mark.parametrize(
    "rows", [slice(0, 10), slice(990, 5000), slice(None), slice(5, 5), slice(9, 3), slice(0, 9, 2)]
)
def test_rows_are_those_of_the_array(whole, stored, rows):
    np.testing.assert_array_equal(stored[rows], whole[rows])
    assert stored[rows].dtype == whole.dtype


def test_other_indices_are_those_of_the_array(whole, stored):
    chosen = np.array([3, 999, 3])
    np.testing.assert_array_equal(stored[chosen], whole[chosen])


def test_all_pieces_take_the_same_memory(stored):
    first = stored[0:100]
    assert np.shares_memory(first, stored[500:600])


def test_a_file_that_ends_too_early_is_an_error(whole, tmp_path):
    path = tmp_path / "array"
    path.write_bytes(whole.tobytes()[:-1])
    stored = StoredArray(path, whole.dtype, whole.shape)
    assert len(stored[0:999]) == 999
    with pytest.raises(OSError, match="1 bytes too early"):
        stored[990:1000]
