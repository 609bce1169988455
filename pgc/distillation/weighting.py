# SPDX-License-Identifier: Apache-2.0
"""w(t) of score distillation: how much what the prior says at a timestep counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.errors import ConfigError

__all__ = ["WeightingConfig", "WeightingName", "sigma_squared", "weights"]

WeightingName = Literal[
    "sigma_squared", "constant", "sqrt_alpha_sigma_squared", "inverse_sigma_squared", "noise_to_signal"
]
"""With ᾱ_t and σ_t² = 1 - ᾱ_t:

- sigma_squared: σ² (Poole et al., DreamFusion, 2022; Pan et al., 2024, §5.1).
- constant: 1.
- sqrt_alpha_sigma_squared: √ᾱ σ², the second of Fantasia3D (Chen et al., 2023) and of the official PGC code.
- inverse_sigma_squared: 1 / σ², the third of the official PGC code.
- noise_to_signal: σ / √ᾱ, with which a residual of the noise is one of the clean latents (LucidDreamer's code).

The official PGC code parses its flag `weight_choice` and never hands it on, so that only the first ever acted there.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightingConfig:
    """Which w(t), and a factor on all of it."""

    kind: WeightingName = "sigma_squared"
    scale: float = 1.0
    """Adam does not see it; a threshold of gradient clipping does."""

    def __post_init__(self) -> None:
        if not (self.scale > 0 and math.isfinite(self.scale)):
            raise ConfigError(f"weighting.scale is {self.scale}; it must be above 0.")


def sigma_squared(alphas_cumprod: Float[Tensor, " t"], timestep: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """Computes w(t) = σ_t² = 1 − ᾱ_t (Poole et al., DreamFusion, 2022; Pan et al., 2024, §5.1)."""
    return 1.0 - alphas_cumprod[timestep]


def weights(
    config: WeightingConfig, alphas_cumprod: Float[Tensor, " t"], timestep: Int[Tensor, " b"]
) -> Float[Tensor, "b 1 1 1"]:
    """Computes w(t) of each view, in the shape of a factor on latents or images."""
    alpha, sigma2 = alphas_cumprod[timestep], sigma_squared(alphas_cumprod, timestep)
    match config.kind:
        case "sigma_squared":
            weight = sigma2
        case "constant":
            weight = torch.ones_like(sigma2)
        case "sqrt_alpha_sigma_squared":
            weight = alpha.sqrt() * sigma2
        case "inverse_sigma_squared":
            weight = 1.0 / sigma2
        case "noise_to_signal":
            weight = (sigma2 / alpha).sqrt()
    return config.scale * weight[:, None, None, None]
