# SPDX-License-Identifier: Apache-2.0
"""Previews: the credit that they may use, and from bytes to pixels. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...protocol.errors import ErrorCode, ProtocolError, Retry, WireError
from ...protocol.meshes import preview_mesh
from ...protocol.messages import Credit, Preview, PreviewCodec
from ..events import JobPreview, JobShapePreview
from ..requests import Buffers, Channel, Port

__all__ = ["PreviewConfig", "Previews", "preview_pixels"]

MIB = 1 << 20
_LARGEST_SIDE = 8192
_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class PreviewConfig:
    """`credit`: bytes of previews that may be under way or lie untaken, all jobs together."""

    credit: int = 4 * MIB


class Previews:
    """Grants the server credit as the owner takes what came.

    Args:
        wanted: whether anybody follows a job; previews of others are dropped.
    """

    def __init__(self, port: Port, wanted: Callable[[str], bool], config: PreviewConfig | None = None) -> None:
        self._port = port
        self._wanted = wanted
        self._config = config or PreviewConfig()
        self._held = 0
        """Bytes in the owner's queue, not taken yet."""

    def opened(self) -> None:
        """Grants the server its credit, since the bulk channel stands: the server starts from none."""
        grant = self._config.credit - self._held
        if grant > 0:
            self._port.tell(Channel.BULK, Credit(bytes=grant))

    def received(self, preview: Preview, buffers: Buffers) -> None:
        """Handles a preview that came in. Raises ProtocolError where its bytes are not what it says."""
        cost = sum(len(buffer) for buffer in buffers)
        event: JobPreview | JobShapePreview
        if preview.codec is PreviewCodec.MESH:
            mesh = preview_mesh(preview.width, preview.height, b"".join(bytes(buffer) for buffer in buffers))
            event = JobShapePreview(preview.job, preview.seq, preview.step, mesh, cost)
        else:
            image = preview_pixels(preview, buffers)
            event = JobPreview(preview.job, preview.seq, preview.step, preview.map, preview.tile, image, cost)
        self._held += cost
        if self._wanted(preview.job):
            self._port.emit(event)
        else:
            self.released(cost)

    def released(self, cost: int) -> None:
        """Gives credit back: the owner took a preview of so many bytes, or a newer one took its place."""
        self._held = max(0, self._held - cost)
        if cost > 0:
            self._port.tell(Channel.BULK, Credit(bytes=cost))


def preview_pixels(preview: Preview, buffers: Buffers) -> npt.NDArray[np.uint8]:
    """Returns the picture [H, W, C]; never more memory than its size says.

    Raises:
        ProtocolError: the size is absurd, the codec is unknown here, or the bytes do not fit the size.
    """
    shape = (preview.height, preview.width, preview.channels)
    if not all(1 <= side <= _LARGEST_SIDE for side in shape[:2]) or shape[2] not in _CHANNELS:
        raise _damaged(f"a preview of {shape[1]} x {shape[0]} pixels with {shape[2]} channels")
    size = shape[0] * shape[1] * shape[2]
    data = b"".join(bytes(buffer) for buffer in buffers)
    if preview.codec is PreviewCodec.ZLIB_U8:
        data = _inflate(data, size)
    elif preview.codec is not PreviewCodec.RAW_U8:
        raise _damaged(f"a preview in the codec {preview.codec}, which this client did not ask for")
    if len(data) != size:
        raise _damaged(f"a preview of {len(data)} bytes, expected {size}")
    # Over bytes of its own, that nobody writes to.
    return np.frombuffer(data, np.uint8).reshape(shape)


def _inflate(data: bytes, size: int) -> bytes:
    """At most one byte more than expected, whatever the stream would grow to."""
    try:
        return zlib.decompressobj().decompress(data, size + 1)
    except zlib.error as error:
        raise _damaged(f"a preview that does not decompress ({error})") from error


def _damaged(what: str) -> ProtocolError:
    return ProtocolError(WireError(code=ErrorCode.PROTO_BAD_FRAME, retry=Retry.SAME, text=f"Got {what}."))
