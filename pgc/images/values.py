# SPDX-License-Identifier: Apache-2.0
"""What is done to the numbers of an image, whatever its type: one scale, no NaN, colour without alpha in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["divide_by_alpha", "make_finite", "unit_values"]

_BAND = 1 << 21


def _bands(values: npt.NDArray[np.generic]) -> Iterator[slice]:
    """Rows, a few megabytes at a time: pixels may be hundreds, of which no copy is made."""
    rows = max(1, _BAND // max(1, values[:1].size))
    return (slice(start, start + rows) for start in range(0, len(values), rows))


def make_finite(path: Path, values: npt.NDArray[np.generic], notes: list[str]) -> None:
    """Puts 0 in the place of what is no number."""
    count = 0
    for band in _bands(values):
        wrong = ~np.isfinite(values[band])
        if wrong.any():
            values[band][wrong] = 0
            count += int(wrong.sum())
    if count:
        notes.append(f"{path.name}: {count} values are NaN or infinite; they became 0.")


def divide_by_alpha(
    path: Path, color: npt.NDArray[np.generic], alpha: npt.NDArray[np.generic], notes: list[str]
) -> None:
    """Takes the alpha out that the file multiplied into the colour; where alpha is 0 the colour stays as it is."""
    partly = False
    for band in _bands(color):
        opaque = unit_values(alpha[band])[..., None]
        partial = (opaque > 0) & (opaque < 1)
        if not partial.any():
            continue
        partly = True
        with np.errstate(over="ignore"):
            divided = color[band].astype(np.float32) / np.where(partial, opaque, np.float32(1.0))
        if np.issubdtype(color.dtype, np.floating):
            limit = 65504.0 if color.dtype == np.float16 else 1e38
            divided = divided.clip(-limit, limit)
        else:
            divided = np.minimum(np.floor(divided + 0.5), _largest(color))
        color[band] = np.where(partial, divided, color[band]).astype(color.dtype)
    if partly:
        notes.append(f"{path.name}: its colours have alpha multiplied in; they were divided by it.")


def unit_values(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Divides integers by their largest value, keeps floats: float32, exact to the last bit of 8 and 16 bits."""
    if np.issubdtype(values.dtype, np.floating):
        return values.astype(np.float32)
    return values.astype(np.float32) / _largest(values)


def _largest(values: npt.NDArray[np.generic]) -> np.float32:
    return np.float32(255 if values.dtype == np.uint8 else 65535)
