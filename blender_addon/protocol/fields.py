# SPDX-License-Identifier: Apache-2.0
"""Checks of fields that several messages share; each raises FieldError."""

from __future__ import annotations

from typing import ClassVar

from .arrays import ArrayRef, DType
from .errors import FieldError
from .limits import DEFAULT_LIMITS

__all__ = ["Strict", "check_array", "check_id", "check_not_negative", "check_text", "check_within"]


class Strict:
    """Marks what refuses unknown fields."""

    __slots__ = ()
    STRICT: ClassVar[bool] = True


def check_id(name: str, value: str | None) -> None:
    """Raises FieldError unless `value` is 32 lower-case hexadecimal digits, or None."""
    if value is not None and (len(value) != 32 or not set("0123456789abcdef").issuperset(value)):
        raise FieldError(name, "Expected an id of 32 lower-case hexadecimal digits.")


def check_not_negative(name: str, value: int) -> None:
    """Raises FieldError where `value` is below 0."""
    if value < 0:
        raise FieldError(name, f"Got {value}; expected 0 or more.")


def check_text(name: str, value: str) -> None:
    """Raises FieldError unless `value` is valid Unicode of at most the bytes of a prompt."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        # Such as names in a file of another encoding: msgpack could not pack them.
        raise FieldError(name, "The text holds characters that are not valid Unicode; type it again.") from None
    if size > DEFAULT_LIMITS.prompt:
        raise FieldError(name, f"Got {size} bytes of text; expected {DEFAULT_LIMITS.prompt} at most.")


def check_within(name: str, value: float | None, low: float, high: float) -> None:
    """Raises FieldError unless `value` is None or from `low` to `high`."""
    if value is not None and not low <= value <= high:
        raise FieldError(name, f"Got {_shown(value)}; expected {_shown(low)} to {_shown(high)}.")


def _shown(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def check_array(name: str, ref: ArrayRef | None, dtype: DType, *shape: int | None) -> None:
    """Raises FieldError unless `ref` has that type and shape; None in `shape` fits any side."""
    if ref is None:
        return
    if ref.dtype is not dtype:
        raise FieldError(name, f"Got an array of {ref.dtype.name}; expected {dtype.name}.")
    fits = len(ref.shape) == len(shape) and all(b is None or a == b for a, b in zip(ref.shape, shape, strict=False))
    if not fits:
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise FieldError(name, f"Got the shape {list(ref.shape)}; expected [{wanted}].")
