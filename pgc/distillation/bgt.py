# SPDX-License-Identifier: Apache-2.0
"""HiFA's loss as its paper and the official PGC code weigh it, there called BGT+: Zhu, Zhuang and Koyejo, "HiFA", 2024.

w(t) [mean (z - ẑ)² + λ mean (x - x̂)²] with λ = 0.1. ẑ is what sampling from z_t in strides of a quarter of all
timesteps gives, x̂ its picture, and t falls with the square root of the progress. `hifa.py` has the same two residuals
with weights of their own; take it for the built-in prior.

Means are taken a view, and the whole is multiplied by half the number of latents of a view. The gradient on the latents
is then w(t)(z - ẑ), of the size of score distillation's, which a threshold of clipping is made for, and the image's is
in the same ratio to it as in the papers.

Differences from the official PGC code: for SDXL it loses the latent term; there is no w(t) in it; its sampler goes
down by one stride and calculates with another, and asks once more at t = 0.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.distillation.base import LatentGradient, add_noise
from pgc.distillation.ddim import ddim_step, descending_timesteps
from pgc.distillation.score import ScoreConfig, draw, guided_noise
from pgc.distillation.timestep import TimestepConfig, timesteps_named
from pgc.distillation.weighting import weights
from pgc.errors import ConfigError
from pgc.guidance.base import Conditions, Guidance

__all__ = ["BGTConfig", "BGTLoss", "bgt_image_weight"]


def bgt_image_weight(image_ratio: float, latents: Float[Tensor, "b k m n"], image: Float[Tensor, "b 3 h w"]) -> float:
    """Computes what x - x̂ is multiplied by where z - ẑ is multiplied by 1: λ times latents over values of the image."""
    return image_ratio * (latents[0].numel() / image[0].numel())


@dataclass(frozen=True, slots=True, kw_only=True)
class BGTConfig(ScoreConfig):
    """The settings of BGT+."""

    kind: Literal["bgt"] = "bgt"
    guidance_scale: float = 7.5
    """For a sampling of several steps, at which the 100 of score distillation leaves nothing natural."""
    timestep: TimestepConfig = field(default_factory=lambda: timesteps_named("square_root"))
    image_ratio: float = 0.1
    """λ, of the mean square in the image to that on the latents."""
    stride: float = 0.25
    """Between two calls of the prior, as a fraction of all timesteps."""

    def __post_init__(self) -> None:
        ScoreConfig.__post_init__(self)
        if not (self.image_ratio > 0 and math.isfinite(self.image_ratio)):
            raise ConfigError(f"distillation.image_ratio is {self.image_ratio}; it must be above 0.")
        if not 0.01 <= self.stride <= 1.0:
            raise ConfigError(f"distillation.stride is {self.stride}; it must lie in [0.01, 1].")


class BGTLoss:
    """The residuals on the latents and in the image after a short sampling."""

    needs_encoder_gradient = True
    has_image_target = True

    def __init__(self, config: BGTConfig) -> None:
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
        alphas_cumprod = guidance.alphas_cumprod
        count = alphas_cumprod.shape[0]
        drawn, noise = draw(self.config, latents, count, conditions, progress=progress, generator=generator)
        sample, noise_pred = add_noise(latents, noise, alphas_cumprod, drawn), noise
        # Views with less noise wait where they are until the noisiest one has come down to them.
        times = descending_timesteps(int(drawn.max()), round(self.config.stride * count))
        for start, end in itertools.pairwise(times):
            at, to = drawn.clamp_max(start), drawn.clamp_max(end)
            prediction = guidance.predict_noise(sample, at.clamp_min(1), conditions)
            noise_pred = guided_noise(prediction, self.config)
            sample = ddim_step(sample, noise_pred, alphas_cumprod, start=at, end=to)
        target = guidance.decode_latents(sample)
        weight = weights(self.config.weighting, alphas_cumprod, drawn).to(latents.dtype)
        return LatentGradient(
            gradient=weight * (latents - sample),
            timestep=drawn,
            noise=noise,
            noise_pred=noise_pred,
            image_target=target,
            image_weight=weight * bgt_image_weight(self.config.image_ratio, latents, target),
        )
