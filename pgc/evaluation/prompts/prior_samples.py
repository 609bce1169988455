# SPDX-License-Identifier: Apache-2.0
"""Plain 2D samples of a prior, depth-controlled by the same views: what no texture distilled from it should beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.distillation.ddim import trailing_timesteps
from pgc.errors import ConfigError
from pgc.guidance.base import Conditions, Guidance

__all__ = ["SamplingConfig", "ddim_sample"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingConfig:
    """The settings of deterministic DDIM."""

    steps: int = 30
    guidance_scale: float = 4.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"sampling.steps is {self.steps}; it must be 1 or more.")


@torch.no_grad()
def ddim_sample(
    guidance: Guidance, conditions: Conditions, latents: Float[Tensor, "b k m n"], config: SamplingConfig
) -> Float[Tensor, "b 3 h w"]:
    """Draws images in [0, 1] from Gaussian `latents` (Song et al., "DDIM", 2021, eq. 12, σ = 0)."""
    alphas = guidance.alphas_cumprod.to(torch.float32)
    timesteps = torch.tensor(trailing_timesteps(len(alphas), config.steps))
    z = latents.to(guidance.device)
    for at, timestep in enumerate(timesteps):
        alpha = alphas[timestep]
        following = alphas[timesteps[at + 1]] if at + 1 < len(timesteps) else alphas.new_tensor(1.0)
        batch = timestep.expand(z.shape[0]).to(guidance.device)
        noise_pred = guidance.predict_noise(z, batch, conditions).guided(config.guidance_scale)
        sample = (z - (1.0 - alpha).sqrt() * noise_pred) / alpha.sqrt()
        z = following.sqrt() * sample + (1.0 - following).sqrt() * noise_pred
    return guidance.decode_latents(z)
