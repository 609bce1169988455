# SPDX-License-Identifier: Apache-2.0
"""Distillation with a residual in the image: Zhu, Zhuang and Koyejo, "HiFA", ICLR 2024 (its latent and image scores).

The gradient of a loss on latents reaches the image through the encoder's Jacobian, which carries noise into pixels
that the encoder hardly looks at; on a small prior it outweighs the signal. The image residual x − D(ẑ) goes around
the encoder: what it asks of a pixel is what the decoder would paint there.

HiFA estimates ẑ in one step. With more, ẑ is what a short deterministic sampling (Song et al., DDIM, ICLR 2021, eq. 12,
η = 0) from the noisy latents gives, as in the texture refinement of Tang et al., "DreamGaussian", ICLR 2024: sharp
where one step gives the blurred mean of all that the noise allows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.distillation.base import LatentGradient, add_noise
from pgc.distillation.ddim import predict_clean_latents
from pgc.distillation.score import ScoreConfig, draw, guided_noise
from pgc.distillation.weighting import weights
from pgc.errors import ConfigError
from pgc.guidance.base import Conditions, Guidance

__all__ = ["HiFAConfig", "HiFALoss"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HiFAConfig(ScoreConfig):
    """Image residual, latent residual, and how ẑ is found."""

    kind: Literal["hifa"] = "hifa"
    guidance_scale: float = 7.5
    image_weight: float = 1.0
    """λ_rgb: of the residual in the image, x − D(ẑ)."""
    latent_weight: float = 1.0
    """Of the residual on the latents, w(t) (z − ẑ), which goes through the encoder. At 0 there is no way back through
    the encoder at all."""
    denoising_steps: int = 1
    """Calls of the denoiser for ẑ, at least; 1 is HiFA."""
    longest_stride: float = 1.0
    """Longest way between two calls, as a fraction of all timesteps: from much noise ẑ takes more calls than from
    little, where one is enough."""

    def __post_init__(self) -> None:
        ScoreConfig.__post_init__(self)
        for name in ("image_weight", "latent_weight"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"distillation.{name} is {getattr(self, name)}; it must be 0 or more.")
        if self.image_weight == 0 == self.latent_weight:
            raise ConfigError("distillation.image_weight and latent_weight are both 0; nothing would be learnt.")
        if self.denoising_steps < 1:
            raise ConfigError(f"distillation.denoising_steps is {self.denoising_steps}; it must be 1 or more.")
        if not 0.01 <= self.longest_stride <= 1.0:
            raise ConfigError(f"distillation.longest_stride is {self.longest_stride}; it must lie in [0.01, 1].")

    def calls(self, timestep: int, count: int) -> int:
        """Says how often the denoiser is called from `timestep` of `count`."""
        return max(self.denoising_steps, math.ceil(timestep / (self.longest_stride * count)))


class HiFALoss:
    """HiFA's gradient; see the module's text."""

    def __init__(self, config: HiFAConfig) -> None:
        self.config = config
        self.needs_encoder_gradient = config.latent_weight > 0
        self.has_image_target = config.image_weight > 0

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
        count = alphas_cumprod.shape[0]
        drawn, noise = draw(self.config, latents, count, conditions, progress=progress, generator=generator)
        clean, noise_pred = latents, noise
        # All views of a step take as many calls as the noisiest one.
        calls = self.config.calls(int(drawn.max()), count)
        for remaining in range(calls, 0, -1):
            timestep = torch.clamp(drawn * remaining // calls, min=1)
            noisy = add_noise(clean, noise_pred, alphas_cumprod, timestep)
            noise_pred = guided_noise(guidance.predict_noise(noisy, timestep, conditions), self.config)
            clean = predict_clean_latents(noisy, noise_pred, alphas_cumprod, timestep)
        weight = self.config.latent_weight * weights(self.config.weighting, alphas_cumprod, drawn).to(latents.dtype)
        return LatentGradient(
            gradient=weight * (latents - clean),
            timestep=drawn,
            noise=noise,
            noise_pred=noise_pred,
            image_target=guidance.decode_latents(clean) if self.config.image_weight > 0 else None,
            image_weight=self.config.image_weight,
        )
