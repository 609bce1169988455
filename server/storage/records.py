# SPDX-License-Identifier: Apache-2.0
"""Dataclasses of the protocol as bytes, for the journal and for files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgpack  # pyright: ignore[reportMissingTypeStubs]

from blender_addon.protocol.structure import from_wire, to_wire

T = TypeVar("T")

_packb: Callable[..., bytes] = msgpack.packb  # pyright: ignore
_unpackb: Callable[..., Any] = msgpack.unpackb  # pyright: ignore


def dump(value: object) -> bytes:
    """Returns the msgpack of a dataclass of the protocol."""
    return _packb(to_wire(value), use_bin_type=True)


def load(cls: type[T], data: bytes) -> T:
    """Returns the dataclass in bytes of `dump`. Raises ProtocolError when the bytes are of another."""
    return from_wire(cls, _unpackb(data, raw=False, strict_map_key=True))
