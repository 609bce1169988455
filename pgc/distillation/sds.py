# SPDX-License-Identifier: Apache-2.0
"""Score distillation sampling: Poole et al., "DreamFusion", 2022, eq. 3, on the latents of a latent diffusion model."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.distillation.base import LatentGradient, add_noise
from pgc.distillation.timestep import TimestepConfig, UniformTimestepConfig, draw_timesteps
from pgc.distillation.weighting import sigma_squared
from pgc.errors import ConfigError
from pgc.guidance.base import Conditions, Guidance

__all__ = ["SDSConfig", "SDSLoss", "sds_gradient"]


def sds_gradient(
    noise_pred: Float[Tensor, "b k m n"],
    noise: Float[Tensor, "b k m n"],
    alphas_cumprod: Float[Tensor, " t"],
    timestep: Int[Tensor, " b"],
) -> Float[Tensor, "b k m n"]:
    """Computes ∂L/∂z = w(t) (ε̂ − ε), with w(t) = 1 − ᾱ_t."""
    weight = sigma_squared(alphas_cumprod, timestep).to(noise_pred.dtype)
    return weight[:, None, None, None] * (noise_pred - noise)


@dataclass(frozen=True, slots=True, kw_only=True)
class SDSConfig:
    """The settings of score distillation sampling."""

    guidance_scale: float = 100.0
    """s in uncond + s·(cond − uncond), as diffusers. The official PGC code's 100 is our 101."""
    timestep: TimestepConfig = field(default_factory=UniformTimestepConfig)

    def __post_init__(self) -> None:
        if not self.guidance_scale >= 0:
            raise ConfigError(f"distillation.guidance_scale is {self.guidance_scale}; it must be 0 or more.")


class SDSLoss:
    """DreamFusion's gradient, with classifier-free guidance by diffusers' convention."""

    def __init__(self, config: SDSConfig) -> None:
        self.config = config
        self.needs_encoder_gradient = True
        self.has_image_target = False

    @torch.no_grad()
    def gradient(
        self,
        latents: Float[Tensor, "b k m n"],
        guidance: Guidance,
        conditions: Conditions,
        *,
        progress: float,
        generator: torch.Generator,
    ) -> LatentGradient:
        """Returns what `DistillationLoss.gradient` says."""
        alphas_cumprod = guidance.alphas_cumprod
        timestep = draw_timesteps(
            self.config.timestep,
            progress,
            alphas_cumprod.shape[0],
            batch=latents.shape[0],
            generator=generator,
        ).to(latents.device)
        # Drawn in float32 on the CPU, so that every device and precision sees the same noise.
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        noisy = add_noise(latents, noise, alphas_cumprod, timestep)
        noise_pred = guidance.predict_noise(noisy, timestep, conditions).guided(self.config.guidance_scale)
        return LatentGradient(
            gradient=sds_gradient(noise_pred, noise, alphas_cumprod, timestep),
            timestep=timestep,
            noise=noise,
            noise_pred=noise_pred,
        )
