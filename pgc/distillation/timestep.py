# SPDX-License-Identifier: Apache-2.0
"""Which diffusion timesteps a step of the optimisation looks at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from pgc.errors import ConfigError

__all__ = [
    "AnnealedTimestepConfig",
    "TimestepConfig",
    "UniformTimestepConfig",
    "draw_timesteps",
    "timestep_range",
]


def _check_fraction(name: str, value: float) -> None:
    if not 0.0 < value < 1.0:
        raise ConfigError(f"timestep.{name} is {value}; it must lie between 0 and 1 (a fraction of all timesteps).")


@dataclass(frozen=True, slots=True, kw_only=True)
class UniformTimestepConfig:
    """t ~ U(minimum, maximum) through the whole run: the paper's §5.1. Fractions of the number of timesteps."""

    minimum: float = 0.02
    maximum: float = 0.5

    def __post_init__(self) -> None:
        _check_fraction("minimum", self.minimum)
        _check_fraction("maximum", self.maximum)
        if self.minimum > self.maximum:
            raise ConfigError(f"timestep.minimum {self.minimum} is above timestep.maximum {self.maximum}; swap them.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnealedTimestepConfig:
    """A window of timesteps that moves from high noise (layout) to low noise (detail) as the run goes on.

    The window's centre runs from `start` to `end` as progress^`power`; t is uniform within ± `half_width`.
    Monotone annealing after DreamTime (Huang et al., 2023) and HiFA (Zhu et al., 2023).
    """

    start: float = 0.6
    end: float = 0.1
    half_width: float = 0.08
    power: float = 0.5

    def __post_init__(self) -> None:
        _check_fraction("start", self.start)
        _check_fraction("end", self.end)
        if not 0.0 <= self.half_width < 0.5:
            raise ConfigError(f"timestep.half_width is {self.half_width}; it must lie in [0, 0.5).")
        if not self.power > 0:
            raise ConfigError(f"timestep.power is {self.power}; it must be above 0.")


TimestepConfig = UniformTimestepConfig | AnnealedTimestepConfig


def timestep_range(config: TimestepConfig, progress: float, count: int) -> tuple[int, int]:
    """Returns the smallest and the largest timestep (both included) at `progress` in [0, 1] of a run, of `count` in
    all."""
    match config:
        case UniformTimestepConfig():
            low, high = config.minimum, config.maximum
        case AnnealedTimestepConfig():
            centre = config.start + (config.end - config.start) * progress**config.power
            low, high = centre - config.half_width, centre + config.half_width
    # t = 0 would divide by a vanishing σ in x0 conversions, and t = count does not exist.
    lowest = min(max(round(low * count), 1), count - 1)
    highest = min(max(round(high * count), lowest), count - 1)
    return lowest, highest


def draw_timesteps(
    config: TimestepConfig, progress: float, count: int, *, batch: int, generator: torch.Generator
) -> Int[Tensor, " b"]:
    """Draws one timestep a view, int64 on the CPU."""
    low, high = timestep_range(config, progress, count)
    return torch.randint(low, high + 1, (batch,), generator=generator)
