# SPDX-License-Identifier: Apache-2.0
"""Which light is plausible before a picture is seen: a normal distribution over harmonics.

With brightness b, the mean radiance over all directions, a coefficient of degree l has

    mean        √(4π) b for l = 0, above · b for l = 1 and m = 0 (light comes from above on the whole), else 0
    grey part   the mean of its channels: variance (b · strength)² · falloff^l, for l = 0 4π (b · exposure)²
    channels    each one's way from grey: variance chroma² (b · strength)² · falloff^max(l, 1)

Coefficients are independent. `strength`, `falloff` and `chroma` are those of 300 environments that
`pgc.rendering.environment.random_environment` drew from seeds that no run has, to a tenth up to degree 10.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.errors import ConfigError
from pgc.rendering.environment import MEAN_RADIANCE
from pgc.rendering.harmonics import degrees

__all__ = ["LightPrior", "LightPriorConfig", "light_prior"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LightPriorConfig:
    """See the module's text.

    Raises:
        ConfigError: the degree is not from 1 to 10, or a scale is not positive.
    """

    degree: int = 5
    brightness: float = MEAN_RADIANCE
    exposure: float = 0.2
    strength: float = 1.45
    falloff: float = 0.76
    chroma: float = 0.35
    above: float = 1.5

    def __post_init__(self) -> None:
        if not 1 <= self.degree <= 10:
            raise ConfigError(f"Got harmonics of degree {self.degree}; expected a whole number from 1 to 10.")
        for name in ("brightness", "exposure", "strength", "falloff", "chroma"):
            value = getattr(self, name)
            if not (value > 0.0 and math.isfinite(value)):
                raise ConfigError(f"Got {name} {value} for the plausible light; expected a number above 0.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LightPrior:
    """Mean [k, 3] of the coefficients, and the inverse covariance of each one's channels, [k, 3, 3]."""

    mean: Float[Tensor, "k 3"]
    precision: Float[Tensor, "k 3 3"]


def light_prior(config: LightPriorConfig) -> LightPrior:
    """Computes the distribution that a configuration describes."""
    band = degrees(config.degree).double()
    spread = (config.brightness * config.strength) ** 2
    tint = config.chroma**2 * spread * config.falloff ** band.clamp_min(1.0)
    gray = spread * config.falloff**band
    gray[0] = 4.0 * math.pi * (config.brightness * config.exposure) ** 2
    # The mean of three channels that stray by `tint` each has a third of it of its own.
    shared = (gray - tint / 3.0).clamp_min(1e-3 * gray)
    covariance = shared[:, None, None] + tint[:, None, None] * torch.eye(3, dtype=torch.float64)
    mean = torch.zeros(len(band), 3)
    mean[0] = config.brightness * math.sqrt(4.0 * math.pi)
    mean[2] = config.above * config.brightness
    return LightPrior(mean=mean, precision=torch.linalg.inv(covariance).float())
