# SPDX-License-Identifier: Apache-2.0
"""Previews: the credit that they may use, and from bytes to pixels. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from blender_addon.client.events import JobPreview
from blender_addon.client.requests import Buffers, Channel, Port
from blender_addon.protocol.messages import Credit, Preview

__all__ = ["PreviewConfig", "Previews"]

MIB = 1 << 20


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
        """The bulk channel stands: the server starts from no credit."""
        grant = self._config.credit - self._held
        if grant > 0:
            self._port.tell(Channel.BULK, Credit(bytes=grant))

    def received(self, preview: Preview, buffers: Buffers) -> None:
        """A preview came in. Raises ProtocolError where its bytes are not what it says."""
        cost = sum(len(buffer) for buffer in buffers)
        self._held += cost
        if not self._wanted(preview.job):
            self.released(cost)
            return
        try:
            image = decode_preview(preview, buffers)
        except ProtocolError:
            self.released(cost)
            raise
        self._port.emit(JobPreview(preview.job, preview.seq, preview.step, preview.map, preview.tile, image, cost))

    def released(self, cost: int) -> None:
        """The owner took a preview of so many bytes, or a newer one took its place."""
        self._held = max(0, self._held - cost)
        if cost > 0:
            self._port.tell(Channel.BULK, Credit(bytes=cost))
