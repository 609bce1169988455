# SPDX-License-Identifier: Apache-2.0
"""Frames made by hand, for what `encode` would never make, and what `decode` says to them."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from blender_addon.protocol.codec import Envelope, decode, encode
from blender_addon.protocol.errors import ErrorCode, ProtocolError, WireError
from blender_addon.protocol.limits import DEFAULT_LIMITS, Limits
from blender_addon.protocol.messages import Error
from blender_addon.protocol.structure import to_wire
from blender_addon.protocol.version import MAGIC
from tests.blender_addon.protocol import samples


def header(message: str = "PING", body: Any = None, **changes: Any) -> dict[str, Any]:
    """A header map."""
    fields = {
        "v": [1, 0],
        "t": message,
        "id": samples.ID,
        "re": None,
        "sid": None,
        "ep": None,
        "body": {"n": 1} if body is None else body,
        "bufs": [],
    }
    return {**fields, **changes}


def frames_of(head: Any, *buffers: bytes) -> list[bytes]:
    """Frames with any header at all."""
    return [MAGIC, head if isinstance(head, bytes) else bytes(msgpack.packb(head) or b""), *buffers]


def submit(path: tuple[str | int, ...], value: Any) -> list[bytes]:
    """A SUBMIT in which one place holds something else; a new key is added."""
    body = {"key": samples.KEY, "spec": to_wire(samples.spec())}
    place: Any = body
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return frames_of(header("SUBMIT", body))


def refusal(frames: Any, limits: Limits = DEFAULT_LIMITS) -> WireError:
    """The error that `decode` raises; an ERROR message can carry it."""
    with pytest.raises(ProtocolError) as caught:
        decode(frames, limits)
    error = caught.value.error
    assert decode(encode(Envelope(Error(error), samples.ID))).message == Error(error)
    return error


def refused(
    frames: Any, code: ErrorCode, field: str | None = None, text: str = "", limits: Limits | None = None
) -> None:
    """Assert what `decode` says."""
    error = refusal(frames, limits or DEFAULT_LIMITS)
    assert (error.code, error.field) == (code, field), error
    assert text in error.text
