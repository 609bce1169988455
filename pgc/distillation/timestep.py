# SPDX-License-Identifier: Apache-2.0
"""Which diffusion timesteps a step of the optimisation looks at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, assert_never

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.errors import ConfigError

__all__ = [
    "AnnealedTimestepConfig",
    "DreamTimeTimestepConfig",
    "TimestepConfig",
    "TimestepName",
    "UniformTimestepConfig",
    "draw_timesteps",
    "dreamtime_weights",
    "timestep_range",
    "timesteps_for_strength",
    "timesteps_named",
]

_LEAST = 0.01
"""The largest timestep of any schedule is at least this."""

TimestepName = Literal["uniform", "linear", "square_root", "dreamtime"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class DreamTimeTimestepConfig:
    """The schedule of DreamTime (Huang et al., ICLR 2024): t falls so that as many steps are spent at it as W(t) says.

    W(t) is 1 between `middle` and falls off as a Gaussian on either side. All numbers are fractions of the number of
    timesteps. Defaults: the paper's m2, m1, s2 and s1, and the support of the official PGC code. As there, W is the
    paper's prior weight alone; the paper multiplies by √((1 - ᾱ)/ᾱ) as well, which depends on the model.
    """

    middle: tuple[float, float] = (0.5, 0.8)
    std_below: float = 0.1
    std_above: float = 0.3
    minimum: float = 0.2
    maximum: float = 0.681
    """The first timestep is the one just below it."""

    def __post_init__(self) -> None:
        for name in ("minimum", "maximum"):
            _check_fraction(name, getattr(self, name))
        if not self.minimum < self.maximum:
            raise ConfigError(f"timestep.minimum {self.minimum} is not below timestep.maximum {self.maximum}.")
        if not 0.0 <= self.middle[0] <= self.middle[1] <= 1.0:
            raise ConfigError(f"timestep.middle is {self.middle}; expected two fractions, the smaller one first.")
        for name in ("std_below", "std_above"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"timestep.{name} is {getattr(self, name)}; it must be above 0.")


TimestepConfig = UniformTimestepConfig | AnnealedTimestepConfig | DreamTimeTimestepConfig


def timesteps_named(name: TimestepName) -> TimestepConfig:
    """Returns a schedule of the literature with its published numbers.

    linear: one timestep a step, from 0.98 to 0.02 (as SDI's). square_root: 0.681 - 0.431·√progress, HiFA's schedule
    (Zhu et al., ICLR 2024) with the numbers of the official PGC code.
    """
    match name:
        case "uniform":
            return UniformTimestepConfig()
        case "linear":
            return AnnealedTimestepConfig(start=0.98, end=0.02, half_width=0.0, power=1.0)
        case "square_root":
            return AnnealedTimestepConfig(start=0.681, end=0.25, half_width=0.0, power=0.5)
        case "dreamtime":
            return DreamTimeTimestepConfig()
        case _:
            assert_never(name)


def timesteps_for_strength(config: TimestepConfig, strength: float) -> TimestepConfig:
    """Returns the schedule with `strength` of its most noise: less noise leaves more of what a run starts from.

    Its least noise stays, unless that is more than the new most. This is the strength of diffusers' image-to-image
    pipelines (Meng et al., SDEdit, ICLR 2022), a share of all timesteps there, and of the schedule's own here.

    Raises:
        ConfigError: the strength is not above 0 and at most 1.
    """
    if not 0.0 < strength <= 1.0:
        raise ConfigError(f"strength is {strength}; it must be above 0 and at most 1.")
    match config:
        case AnnealedTimestepConfig():
            start = max(config.start * strength, _LEAST)
            return replace(config, start=start, end=min(config.end, start))
        case UniformTimestepConfig():
            maximum = max(config.maximum * strength, _LEAST)
            return replace(config, maximum=maximum, minimum=min(config.minimum, maximum))
        case DreamTimeTimestepConfig():
            maximum = max(config.maximum * strength, 2.0 * _LEAST)
            return replace(config, maximum=maximum, minimum=min(config.minimum, 0.5 * maximum))


def dreamtime_weights(config: DreamTimeTimestepConfig, count: int) -> tuple[int, Float[Tensor, " n"]]:
    """Returns the smallest timestep of the schedule, and W(t) from there to the largest; float64."""
    first, stop = round(config.minimum * count), round(config.maximum * count)
    times = torch.arange(first, max(stop, first + 1), dtype=torch.float64) / count
    below, above = (config.middle[0] - times).clamp_min(0.0), (times - config.middle[1]).clamp_min(0.0)
    return first, torch.exp(-0.5 * ((below / config.std_below) ** 2 + (above / config.std_above) ** 2))


def _dreamtime_timestep(config: DreamTimeTimestepConfig, progress: float, count: int) -> int:
    """The t whose share of W at and above it is nearest to the progress."""
    first, weight = dreamtime_weights(config, count)
    spent = weight.flip(0).cumsum(0).flip(0) / weight.sum()
    return first + int((spent - progress).abs().argmin())


def timestep_range(config: TimestepConfig, progress: float, count: int) -> tuple[int, int]:
    """Returns the smallest and the largest timestep (both included) at `progress` in [0, 1] of a run, of `count` in
    all."""
    match config:
        case UniformTimestepConfig():
            low, high = config.minimum, config.maximum
        case AnnealedTimestepConfig():
            centre = config.start + (config.end - config.start) * progress**config.power
            low, high = centre - config.half_width, centre + config.half_width
        case DreamTimeTimestepConfig():
            low = high = _dreamtime_timestep(config, progress, count) / count
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
