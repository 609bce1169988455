# SPDX-License-Identifier: Apache-2.0
"""What every distillation loss has in common: it returns a *gradient* on the latents, not a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.guidance.base import Conditions, Guidance

__all__ = ["DistillationLoss", "LatentGradient", "add_noise"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatentGradient:
    """The outcome of one distillation step."""

    gradient: Float[Tensor, "b k m n"]
    """∂L/∂z, summed over the batch as the official code does (each view has its own row)."""
    timestep: Int[Tensor, " b"]
    noise: Float[Tensor, "b k m n"]
    noise_pred: Float[Tensor, "b k m n"]
    """After classifier-free guidance."""


@runtime_checkable
class DistillationLoss(Protocol):
    """A paper's way from latents to a gradient on them."""

    def gradient(
        self,
        latents: Float[Tensor, "b k m n"],
        guidance: Guidance,
        conditions: Conditions,
        *,
        progress: float,
        generator: torch.Generator,
    ) -> LatentGradient:
        """∂L/∂z at `latents` (detached), with `progress` in [0, 1] and all draws from `generator` (CPU)."""
        ...


def add_noise(
    latents: Float[Tensor, "b k m n"],
    noise: Float[Tensor, "b k m n"],
    alphas_cumprod: Float[Tensor, " t"],
    timestep: Int[Tensor, " b"],
) -> Float[Tensor, "b k m n"]:
    """z_t = √ᾱ_t · z + √(1 − ᾱ_t) · ε (Ho et al., DDPM, 2020, eq. 4)."""
    alpha = alphas_cumprod[timestep].to(latents.dtype)[:, None, None, None]
    return alpha.sqrt() * latents + (1.0 - alpha).sqrt() * noise
