# SPDX-License-Identifier: Apache-2.0
"""What a process is to be, as it is told to the one that is forked for it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

__all__ = ["READY", "REQUEST_BYTES", "Request"]

READY = b"ready"
"""What a template says once it has its imports behind it."""
REQUEST_BYTES = 150_000
"""A request is one packet; a longer one is not sent."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a process is to be. Its standard streams come along as open files."""

    arguments: list[str]
    """The command line, the interpreter first."""
    environment: dict[str, str]
    folder: str
    umask: int
    new_session: bool
    group: int
    """The process group; 0: a new one, -1: that of whoever asks."""

    def packed(self) -> bytes:
        """Returns the packet."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpacked(cls, packet: bytes) -> Request:
        """Returns what a packet says."""
        return cls(**json.loads(packet))
