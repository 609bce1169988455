# SPDX-License-Identifier: Apache-2.0
"""Where a mesh's positions are counted from, so that float32 keeps the detail of a mesh that lies far away."""

import numpy as np
from jaxtyping import Float64, Int32

__all__ = ["local_origin"]

_FAR = 8.0
"""A mesh whose middle is so many of its own sizes away is far: float32 would cost 5e-7 of its size and more."""


def local_origin(
    positions: Float64[np.ndarray, "V 3"], corner_positions: Int32[np.ndarray, " L"]
) -> Float64[np.ndarray, " 3"]:
    """Returns what to subtract in float64 before positions become float32, in the positions' own units.

    Zero for meshes near the origin, whose float32 positions are then the file's. Otherwise the middle of what the
    faces use, rounded to a power of two near the mesh's size: subtracting it from float32 numbers loses nothing, it
    is short as a number, and what is left has the origin zero.
    """
    used = positions[corner_positions]
    low, high = used.min(axis=0), used.max(axis=0)
    size = float((high - low).max())
    middle = low + 0.5 * (high - low)
    if size == 0.0 or float(np.abs(middle).max()) <= _FAR * size:
        return np.zeros(3)
    step = 2.0 ** np.floor(np.log2(size))
    return np.round(middle / step) * step
