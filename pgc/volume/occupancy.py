# SPDX-License-Identifier: Apache-2.0
"""Which parts of space are worth a look: the occupancy grid of Müller et al., "Instant Neural Graphics Primitives",
2022, appendix C.

A cell remembers the largest density found in it lately, at a place of its own that is drawn anew each time. Beyond the
paper, cells beside an occupied one count as occupied too: a surface that grows finds no wall at a cell's border.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.errors import ConfigError
from pgc.randomness import generator_for

__all__ = ["OccupancyConfig", "OccupancyGrid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OccupancyConfig:
    """The grid and when it is looked after."""

    cells: int = 40
    """Along each side of [-1, 1]³."""
    threshold: float = 0.1
    """Density from which on a cell is occupied; a ray of length 1 through less would lose a tenth of its light."""
    decay: float = 0.9
    """What a cell remembers of its density from one update to the next."""
    every: int = 4
    """Steps between updates."""

    def __post_init__(self) -> None:
        if not 2 <= self.cells <= 256 or self.every < 1:
            raise ConfigError(f"Got {self.cells} cells, updated each {self.every} steps; expected 2 to 256, each 1.")
        if not (self.threshold >= 0.0 and math.isfinite(self.threshold)) or not 0.0 <= self.decay < 1.0:
            raise ConfigError(
                f"Got an occupancy threshold of {self.threshold} and decay {self.decay}; expected 0 or more, and one "
                "in [0, 1)."
            )


class OccupancyGrid(torch.nn.Module):
    """See the module's text."""

    density: Tensor
    live: Tensor
    steps: Tensor

    def __init__(self, config: OccupancyConfig, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.config, self._seed = config, seed
        shape = (config.cells,) * 3
        self.register_buffer("density", torch.zeros(shape, device=device))
        self.register_buffer("live", torch.ones(shape, dtype=torch.bool, device=device))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def after_step(self, density_at: Callable[[Tensor], Tensor]) -> None:
        """Counts a step, and looks after the grid where it is time to."""
        if int(self.steps) % self.config.every == 0:
            self.update(density_at)
        self.steps += 1

    @torch.no_grad()
    def update(self, density_at: Callable[[Tensor], Tensor]) -> None:
        """Looks at one place in each cell."""
        side = self.config.cells
        generator = generator_for(self._seed, int(self.steps), "occupancy")
        shift = torch.rand((side**3, 3), generator=generator).to(self.density)
        line = torch.arange(side, device=self.density.device)
        z, y, x = torch.meshgrid(line, line, line, indexing="ij")
        corner = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
        found = density_at((corner + shift) * (2.0 / side) - 1.0).reshape(self.density.shape)
        self.density.copy_(torch.maximum(self.density * self.config.decay, found))
        occupied = (self.density > self.config.threshold).to(self.density)
        self.live.copy_(F.max_pool3d(occupied[None, None], 3, stride=1, padding=1)[0, 0] > 0.0)

    @torch.no_grad()
    def contains(self, places: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
        """Says which places lie in an occupied cell."""
        side = self.config.cells
        cell = ((places + 1.0) * (0.5 * side)).long().clamp_(0, side - 1)
        return self.live.reshape(-1)[cell[:, 0] + side * (cell[:, 1] + side * cell[:, 2])]
