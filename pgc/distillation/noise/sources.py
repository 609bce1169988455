# SPDX-License-Identifier: Apache-2.0
"""Which noise a loss adds to the latents of a step's views."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.distillation.noise.surface_noise import surface_noise
from pgc.errors import ConfigError, GuidanceError
from pgc.surface import SurfacePoints

__all__ = ["IndependentNoiseConfig", "NoiseConfig", "NoiseName", "SurfaceNoiseConfig", "draw_noise", "noise_named"]

NoiseName = Literal["independent", "surface"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndependentNoiseConfig:
    """Every view and step has a noise of its own, as in score distillation."""

    kind: Literal["independent"] = "independent"


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceNoiseConfig:
    """The noise belongs to the surface and stays there; see `surface_noise`."""

    kind: Literal["surface"] = "surface"
    seed: int = 0
    """Added to the run's own: another seed is another noise on the same surface, and so another texture."""
    fresh: float = 0.0
    """Share of the variance that is drawn anew for every view and step."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.fresh < 1.0:
            raise ConfigError(f"noise.fresh is {self.fresh}; it must lie in [0, 1). For 1, take independent noise.")


NoiseConfig = IndependentNoiseConfig | SurfaceNoiseConfig


def noise_named(name: NoiseName) -> NoiseConfig:
    """Returns the source of noise of this name with its own defaults."""
    match name:
        case "independent":
            return IndependentNoiseConfig()
        case "surface":
            return SurfaceNoiseConfig()
        case _:
            assert_never(name)


def draw_noise(
    config: NoiseConfig,
    latents: Float[Tensor, "b k m n"],
    surface: SurfacePoints | None,
    generator: torch.Generator,
) -> Float[Tensor, "b k m n"]:
    """Draws noise of unit variance in the shape, dtype and place of the latents.

    Raises:
        GuidanceError: the noise belongs to a surface, and the step does not say which.
    """
    # Drawn in float32 on the CPU, so that every device and precision sees the same noise.
    independent = torch.randn(latents.shape, generator=generator)
    match config:
        case IndependentNoiseConfig():
            return independent.to(latents)
        case SurfaceNoiseConfig():
            if surface is None:
                raise GuidanceError(
                    "Noise of the surface needs the points that the views show; this step has none. Give "
                    "Conditions.surface, or take independent noise."
                )
            anchored = surface_noise(surface, independent, seed=config.seed)
            if config.fresh == 0.0:
                return anchored.to(latents)
            again = torch.randn(latents.shape, generator=generator)
            return (math.sqrt(1.0 - config.fresh) * anchored + math.sqrt(config.fresh) * again).to(latents)
