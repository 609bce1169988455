# SPDX-License-Identifier: Apache-2.0
"""Arrays: stored as blobs by their SHA-256, little-endian, in C order, with a type from a closed list."""

from __future__ import annotations

import enum
import hashlib
import math
import mmap
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .errors import FieldError
from .limits import DEFAULT_LIMITS

__all__ = ["ArrayRef", "DType", "array_ref", "blob_of", "check_hash", "give_away", "handed_over"]

_HEX = frozenset("0123456789abcdef")
_MAX_DIMENSIONS = 4


class DType(enum.IntEnum):
    """Type of an array's values. There are no others, and no type is ever given as text."""

    U8 = 1
    U16 = 2
    I32 = 3
    F16 = 4
    F32 = 5

    @property
    def numpy(self) -> np.dtype[Any]:
        """The same type for numpy, little-endian."""
        return np.dtype(_NUMPY[self])


_NUMPY = {DType.U8: "<u1", DType.U16: "<u2", DType.I32: "<i4", DType.F16: "<f2", DType.F32: "<f4"}


def check_hash(field: str, value: str) -> None:
    """Raises FieldError unless `value` is a SHA-256 as 64 lower-case hexadecimal digits."""
    if len(value) != 64 or not _HEX.issuperset(value):
        raise FieldError(field, "Expected a SHA-256 of 64 lower-case hexadecimal digits.")


@dataclass(frozen=True, slots=True)
class ArrayRef:
    """An array that is, or is to be, in the server's store."""

    STRICT: ClassVar[bool] = True
    sha256: str
    dtype: DType
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        check_hash("sha256", self.sha256)
        if not 1 <= len(self.shape) <= _MAX_DIMENSIONS:
            raise FieldError("shape", f"Got {len(self.shape)} sides; expected 1 to {_MAX_DIMENSIONS}.")
        if any(side < 0 for side in self.shape):
            raise FieldError("shape", f"Got {list(self.shape)}; expected sides of 0 or more.")
        if self.nbytes > DEFAULT_LIMITS.blob:
            raise FieldError("shape", f"Got {self.nbytes} bytes; an array may have {DEFAULT_LIMITS.blob} at most.")

    @property
    def nbytes(self) -> int:
        """Exact size of the blob, in bytes."""
        return math.prod(self.shape) * self.dtype.numpy.itemsize


def blob_of(array: npt.NDArray[Any]) -> bytes:
    """Returns the bytes of an array as they are stored: a copy, little-endian, in C order."""
    return np.ascontiguousarray(array, dtype=_dtype(array).numpy).tobytes()


def give_away(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns the array, read-only from now on, with those that it is a view of: a client then needs no copy of it."""
    data: Any = array
    while isinstance(data, np.ndarray):
        data.flags.writeable = False
        data = data.base
    return array


def handed_over(array: npt.NDArray[Any]) -> bytes | memoryview:
    """Returns the bytes of an array: a view of them where it was given away (`give_away`), and they lie as they are
    stored; else a copy.
    """
    data = array
    while isinstance(data.base, np.ndarray) and not data.flags.writeable:
        data = data.base
    # A file that is mapped is copied page by page as it is sent, and one that changes has another hash.
    given = not data.flags.writeable and (data.base is None or isinstance(data.base, bytes | mmap.mmap))
    if not given or not array.flags.c_contiguous or array.dtype != _dtype(array).numpy or not array.size:
        return blob_of(array)
    return array.data.cast("B")


def array_ref(array: npt.NDArray[Any], blob: bytes | memoryview | None = None) -> ArrayRef:
    """Returns the reference to an array (`blob`: its bytes, where they are at hand already).

    Raises:
        TypeError: the array's type is not one of `DType`.
    """
    stored = np.ascontiguousarray(array, dtype=_dtype(array).numpy) if blob is None and array.size else array
    data = blob or (stored.data.cast("B") if array.size else b"")
    return ArrayRef(hashlib.sha256(data).hexdigest(), _dtype(array), tuple(int(side) for side in array.shape))


def _dtype(array: npt.NDArray[Any]) -> DType:
    for dtype in DType:
        if array.dtype.newbyteorder("<") == dtype.numpy:
            return dtype
    raise TypeError(f"Got an array of {array.dtype}; expected uint8, uint16, int32, float16 or float32.")
