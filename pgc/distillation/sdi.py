# SPDX-License-Identifier: Apache-2.0
"""Score distillation via inversion: Lukoianov et al., "Score Distillation via Reparametrized DDIM", NeurIPS 2024.

Score distillation is a step of DDIM's sampling but for its noise, which is drawn where it should follow from the
picture. Here it does: κ, the noise that DDIM's equation, gone up from the latents to t, finds in them, takes the place
of ε in w(t)(ε̂ - ε). Inversion is done under the negative of the guidance; a share η of fresh noise is mixed in.

Differences: the fresh noise enters once, at the end, and not at every step of the inversion; κ is found anew for every
step, as in the paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.distillation.base import LatentGradient, add_noise
from pgc.distillation.ddim import invert
from pgc.distillation.score import ScoreConfig, draw, guided_noise
from pgc.distillation.sds import sds_gradient
from pgc.distillation.timestep import TimestepConfig, timesteps_named
from pgc.distillation.weighting import weights
from pgc.errors import ConfigError
from pgc.guidance.base import Conditions, Guidance

__all__ = ["SDIConfig", "SDILoss", "mixed_noise", "noise_between"]


def noise_between(
    latents: Float[Tensor, "b k m n"], noisy: Float[Tensor, "b k m n"], alpha: Float[Tensor, "b 1 1 1"]
) -> Float[Tensor, "b k m n"]:
    """Computes κ = (z_t − √ᾱ z) / √(1 − ᾱ): the noise that takes z to z_t."""
    return (noisy - alpha.sqrt() * latents) / (1.0 - alpha).sqrt()


def mixed_noise(
    inverted: Float[Tensor, "b k m n"], fresh: Float[Tensor, "b k m n"], share: float
) -> Float[Tensor, "b k m n"]:
    """Computes √(1 − η²) κ + η ε, of the variance that both have."""
    return math.sqrt(1.0 - share**2) * inverted + share * fresh


@dataclass(frozen=True, slots=True, kw_only=True)
class SDIConfig(ScoreConfig):
    """The settings of score distillation via inversion; defaults are the official code's."""

    kind: Literal["sdi"] = "sdi"
    guidance_scale: float = 7.5
    timestep: TimestepConfig = field(default_factory=lambda: timesteps_named("linear"))
    inversion_guidance_scale: float = -7.5
    """On the way up, in the same convention; what guidance adds on the way down it takes away first."""
    inversion_steps: int = 10
    """Calls of the prior on the way up."""
    fresh_noise: float = 0.3
    """η; at 1 it is score distillation, and nothing need be inverted."""

    def __post_init__(self) -> None:
        ScoreConfig.__post_init__(self)
        if not math.isfinite(self.inversion_guidance_scale):
            raise ConfigError(
                f"distillation.inversion_guidance_scale is {self.inversion_guidance_scale}; it must be a number."
            )
        if self.inversion_steps < 1:
            raise ConfigError(f"distillation.inversion_steps is {self.inversion_steps}; it must be 1 or more.")
        if not 0.0 <= self.fresh_noise < 1.0:
            raise ConfigError(f"distillation.fresh_noise is {self.fresh_noise}; it must lie in [0, 1).")


class SDILoss:
    """Score distillation with the noise that the picture has."""

    needs_encoder_gradient = True
    has_image_target = False

    def __init__(self, config: SDIConfig) -> None:
        self.config = config

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
        config, alphas_cumprod = self.config, guidance.alphas_cumprod
        timestep, fresh = draw(
            config, latents, alphas_cumprod.shape[0], conditions, progress=progress, generator=generator
        )

        def ask(sample: Tensor, at: Tensor) -> Tensor:
            return guidance.predict_noise(sample, at, conditions).guided(config.inversion_guidance_scale)

        times = [timestep * step // config.inversion_steps for step in range(config.inversion_steps + 1)]
        inverted = invert(ask, latents, alphas_cumprod, times)
        alpha = alphas_cumprod[timestep][:, None, None, None].to(latents.dtype)
        noise = mixed_noise(noise_between(latents, inverted, alpha), fresh, config.fresh_noise)
        noisy = add_noise(latents, noise, alphas_cumprod, timestep)
        noise_pred = guided_noise(guidance.predict_noise(noisy, timestep, conditions), config)
        weight = weights(config.weighting, alphas_cumprod, timestep).to(latents.dtype)
        return LatentGradient(
            gradient=sds_gradient(noise_pred, noise, weight), timestep=timestep, noise=noise, noise_pred=noise_pred
        )
