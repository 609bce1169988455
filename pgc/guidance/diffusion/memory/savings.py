# SPDX-License-Identifier: Apache-2.0
"""What a latent diffusion model does to fit into a card's memory. Apart from the model, so that it imports fast."""

from __future__ import annotations

from dataclasses import dataclass

from pgc.errors import ConfigError

__all__ = ["MemorySavings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySavings:
    """Less memory for more time; nothing here changes what the model says by more than rounding."""

    rows: int | None = None
    """The most rows of a batch (a view under a prompt) that the network is asked about at once; None: all."""
    streamed: bool = False
    """UNet and ControlNets wait in main memory, and each layer visits the card while it works."""

    def __post_init__(self) -> None:
        if self.rows is not None and self.rows < 1:
            raise ConfigError(f"guidance.memory.rows is {self.rows}; it must be 1 or more.")
