# SPDX-License-Identifier: Apache-2.0
"""Arrays as blobs: the same bytes on every machine, and no type but those of the list."""

import hashlib

import numpy as np
import pytest

from blender_addon.protocol.arrays import ArrayRef, DType, array_ref, blob_of, give_away, handed_over
from blender_addon.protocol.errors import ErrorCode, FieldError, ProtocolError
from blender_addon.protocol.limits import DEFAULT_LIMITS
from blender_addon.protocol.structure import from_wire, to_wire

MOST_SIDES = 4


@pytest.mark.parametrize("dtype", DType)
def test_arrays_come_back(dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype.numpy)
    blob = blob_of(array)
    ref = array_ref(array)
    assert ref == ArrayRef(hashlib.sha256(blob).hexdigest(), dtype, (2, 3, 4)) == array_ref(array, blob)
    assert len(blob) == ref.nbytes == array.nbytes
    np.testing.assert_array_equal(np.frombuffer(blob, ref.dtype.numpy).reshape(ref.shape), array)


def test_order_of_bytes_and_axes_does_not_matter():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    others = (array.astype(">f4"), np.asfortranarray(array), np.repeat(array, 2, axis=1)[:, ::2])
    assert {array_ref(other) for other in others} == {array_ref(array)}


def _read_only(array):
    array.flags.writeable = False
    return array


def test_a_mapped_file_is_handed_over_without_a_copy(tmp_path):
    (tmp_path / "file").write_bytes(b"weights" * 99)
    data = handed_over(np.memmap(tmp_path / "file", np.uint8, mode="r"))
    assert isinstance(data, memoryview)
    assert bytes(data) == b"weights" * 99
    changing = np.memmap(tmp_path / "file", np.uint8, mode="r+")
    assert isinstance(handed_over(changing), bytes), "what may change is copied"


def test_an_array_that_was_given_away_is_handed_over_without_a_copy():
    array = give_away(np.arange(6, dtype=np.float32).reshape(2, 3))
    with pytest.raises(ValueError, match="read-only"):
        array.base[0] = 1.0
    for given in (array, array.reshape(3, 2), np.frombuffer(bytes(24), np.float32)):
        data = handed_over(given)
        assert isinstance(data, memoryview)
        assert np.shares_memory(np.frombuffer(data, np.uint8), given)
        assert bytes(data) == blob_of(given)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32),
        _read_only(np.arange(6, dtype=np.float32).view()),
        _read_only(np.arange(6, dtype=">f4")),
        _read_only(np.arange(6, dtype=np.float32).reshape(2, 3).T),
        _read_only(np.zeros((0, 3), np.float32)),
        _read_only(np.frombuffer(bytearray(24), np.float32)),
    ],
    ids=["writeable", "a view of one", "other byte order", "other order of axes", "empty", "of a bytearray"],
)
def test_any_other_array_is_copied(array):
    data = handed_over(array)
    assert isinstance(data, bytes)
    assert data == blob_of(array)


@pytest.mark.parametrize("dtype", ["f8", "i8", "u4", "b1", "c8", "O", "U3", "M8[s]", "f4,i4"])
def test_other_types_are_refused(dtype):
    with pytest.raises(TypeError, match="expected uint8"):
        array_ref(np.zeros(3, dtype))


def test_empty_arrays():
    array = np.zeros((0, 3), np.float32)
    assert (array_ref(array).shape, blob_of(array)) == ((0, 3), b"")


def test_sizes_are_exact():
    # In 64 bits this product is 0.
    with pytest.raises(ValueError, match="may have"):
        ArrayRef("a" * 64, DType.F32, (1 << 32, 1 << 32, 1 << 32))
    assert ArrayRef("a" * 64, DType.U8, (1 << 16, 1 << 16)).nbytes == 1 << 32


@pytest.mark.parametrize("shape", [(), (0,) * 4000, (-1,), (1 << 62,) * 4, (1, -(1 << 62), 1)])
def test_a_shape_that_cannot_be_is_told_in_one_sentence_however_long_it_is(shape):
    """A list of 4,000 sides was repeated in its error."""
    with pytest.raises(FieldError) as caught:
        ArrayRef("0" * 64, DType.U8, shape)
    assert caught.value.field == "shape"
    assert caught.value.text.startswith("Got ")
    assert len(caught.value.text) < 200


@pytest.mark.parametrize("name", ["", "a" * 63, "a" * 65, "g" * 64, "A" * 64, "a" * 63 + " "])
def test_a_hash_has_all_its_digits_and_nothing_else(name):
    with pytest.raises(FieldError, match="64 lower-case hexadecimal digits"):
        ArrayRef(name, DType.U8, (1,))


def test_the_largest_array_is_allowed_and_one_byte_more_is_not():
    most = DEFAULT_LIMITS.blob
    assert ArrayRef("0" * 64, DType.U8, (most,)).nbytes == most
    with pytest.raises(FieldError, match=f"Got {most + 1} bytes"):
        ArrayRef("0" * 64, DType.U8, (most + 1,))
    assert ArrayRef("0" * 64, DType.U8, (1,) * MOST_SIDES).shape == (1,) * MOST_SIDES
    with pytest.raises(FieldError, match=f"Got {MOST_SIDES + 1} sides"):
        ArrayRef("0" * 64, DType.U8, (1,) * (MOST_SIDES + 1))


def test_a_reference_has_no_other_fields():
    wire = to_wire(ArrayRef("0" * 64, DType.U8, (1,)))
    assert from_wire(ArrayRef, wire) == ArrayRef("0" * 64, DType.U8, (1,))
    with pytest.raises(ProtocolError) as caught:
        from_wire(ArrayRef, {**wire, "strides": [1]})
    assert caught.value.error.code is ErrorCode.INPUT_UNKNOWN_FIELD
