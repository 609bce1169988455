# SPDX-License-Identifier: Apache-2.0
"""The filters of EXT_ and KHR_meshopt_compression (their appendix B): bytes of rows to numbers."""

import numpy as np
from jaxtyping import Shaped, UInt8

__all__ = ["apply_filter"]


def apply_filter(name: str, rows: UInt8[np.ndarray, "N S"]) -> Shaped[np.ndarray, "N C"]:
    """Applies a filter to decoded rows and returns them as numbers of the width that the view's accessors read.

    Raises `ValueError` for unknown filters and strides that a filter does not have.
    """
    stride = rows.shape[1]
    match name:
        case "NONE":
            return rows
        case "OCTAHEDRAL" if stride in (4, 8):
            return _octahedral(np.ascontiguousarray(rows).view("i1" if stride == 4 else "<i2"))
        case "QUATERNION" if stride == 8:
            return _quaternion(np.ascontiguousarray(rows).view("<i2"))
        case "EXPONENTIAL" if stride % 4 == 0:
            return _exponential(np.ascontiguousarray(rows).view("<i4"))
        case "COLOR" if stride in (4, 8):
            return _color(np.ascontiguousarray(rows).view("i1" if stride == 4 else "<i2"))
        case _:
            raise ValueError(f"filter {name[:20]!r} for rows of {stride} bytes")


def _octahedral(values: Shaped[np.ndarray, "N 4"]) -> Shaped[np.ndarray, "N 4"]:
    """Unit vectors from two coordinates on an octahedron; the third number stands for 1, the fourth stays."""
    one = np.where(values[:, 2] == 0, 1, values[:, 2]).astype(np.float64)
    x, y = values[:, 0] / one, values[:, 1] / one
    z = 1.0 - np.abs(x) - np.abs(y)
    folded = np.minimum(z, 0.0)
    vector = np.stack([x - np.copysign(folded, x), y - np.copysign(folded, y), z], axis=1)
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    found = values.copy()
    largest = np.iinfo(values.dtype).max
    found[:, :3] = np.rint(vector / np.where(length > 0, length, 1.0) * largest).astype(values.dtype)
    return found


def _quaternion(values: Shaped[np.ndarray, "N 4"]) -> Shaped[np.ndarray, "N 4"]:
    """Unit quaternions from three components; the greatest is left out, and the fourth number says which it was."""
    one = (values[:, 3] | 3).astype(np.float64)
    three = values[:, :3] / one[:, None] * 0.5**0.5
    greatest = np.sqrt(np.maximum(0.0, 1.0 - (three * three).sum(axis=1)))
    components = np.concatenate([greatest[:, None], three], axis=1)
    place = ((values[:, 3] & 3).astype(np.int64)[:, None] + np.arange(4)) % 4
    found = np.empty_like(values)
    scaled = np.rint(np.clip(components, -1.0, 1.0) * 32767.0).astype(values.dtype)
    np.put_along_axis(found, place, scaled, axis=1)
    return found


def _exponential(values: Shaped[np.ndarray, "N C"]) -> Shaped[np.ndarray, "N C"]:
    """Floats from 8 bits of exponent and 24 of mantissa."""
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(((values << 8) >> 8).astype(np.float64), values >> 24).astype("<f4")


def _color(values: Shaped[np.ndarray, "N 4"]) -> Shaped[np.ndarray, "N 4"]:
    """RGBA from YCoCg; the highest bit of the fourth number says how many bits the numbers have."""
    unsigned = "u1" if values.dtype.itemsize == 1 else "<u2"
    y, co, cg = values.view(unsigned)[:, 0].astype(np.int64), *values[:, 1:3].T.astype(np.int64)
    coded = values.view(unsigned)[:, 3].astype(np.int64)
    scale = 2 ** np.ceil(np.log2(coded + 1.0)).astype(np.int64) - 1
    alpha = coded & (scale >> 1)
    found = np.stack([y + co - cg, y + cg, y - co - cg, (alpha << 1) | (alpha & 1)], axis=1)
    largest = np.iinfo(unsigned).max
    scaled = found * (largest / np.maximum(scale, 1))[:, None]
    return np.floor(np.clip(scaled, 0, largest) + 0.5).astype(unsigned)
