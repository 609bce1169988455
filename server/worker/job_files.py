# SPDX-License-Identifier: Apache-2.0
"""What a worker reads of a job's folder, as the broker wrote it or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgpack  # pyright: ignore[reportMissingTypeStubs]

from blender_addon.protocol.errors import ErrorCode, ProtocolError, Retry, WireError
from blender_addon.protocol.specs.job import TextureJobSpec
from blender_addon.protocol.structure import from_wire
from server.config import ServerPaths

__all__ = ["read_spec"]

_unpackb: Callable[..., Any] = msgpack.unpackb  # pyright: ignore


def read_spec(paths: ServerPaths, job: str, digest: str = "") -> TextureJobSpec:
    """Reads the specification of a job. `digest`: the SHA-256 that it had when the job was accepted; empty: any will
    do.

    Raises:
        ProtocolError: it is gone, or a disk has damaged it: a changed seed or prompt would pass for what was asked for.
    """
    try:
        data = paths.spec(job).read_bytes()
    except OSError as error:
        raise _lost("cannot be read any more") from error
    if digest and hashlib.sha256(data).hexdigest() != digest:
        raise _lost("is no longer what was sent")
    return from_wire(TextureJobSpec, _unpackb(data, raw=False, strict_map_key=True))


def _lost(how: str) -> ProtocolError:
    text = f"The job's specification {how}: the server's disk has lost or damaged it. The job cannot go on."
    return ProtocolError(WireError(ErrorCode.INTERNAL, Retry.CHANGED, text, hint="Send the job again."))
