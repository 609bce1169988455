# SPDX-License-Identifier: Apache-2.0
"""What a child process is told when it starts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["ChildSettings"]


@dataclass(frozen=True)
class ChildSettings:
    """What a child reads from its standard input: one line of JSON. End of file there: the broker is gone.

    Args:
        endpoint: address of the broker's internal socket, `tcp://127.0.0.1:PORT`.
        server_public: CURVE key of that socket, Z85, 40 characters; `own_public` and `own_secret` likewise.
        role: `gate` or `worker`; index: number of the worker, from 0.
        device: `auto`, `cpu` or `cuda`; rasterizer: `auto`, `warp` or `nvdiffrast`.
        checkpoint_seconds: least time between two checkpoints.
        low_priority: whether a worker on the CPU goes behind other programs.
    """

    endpoint: str
    server_public: str
    own_public: str
    own_secret: str
    role: str
    index: int
    data_dir: str
    device: str = "auto"
    rasterizer: str = "auto"
    checkpoint_seconds: float = 20.0
    low_priority: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Returns the settings as plain values, to be written as JSON."""
        return asdict(self)

    def __repr__(self) -> str:
        return f"ChildSettings(role={self.role!r}, index={self.index})"  # Never the secret key.
