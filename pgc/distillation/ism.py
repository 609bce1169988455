# SPDX-License-Identifier: Apache-2.0
"""Interval score matching: Liang et al., "LucidDreamer", CVPR 2024, eq. 17 and algorithm 1.

No noise is drawn. The latents are carried up to z_s by the unconditional noise that the prior sees in them, in strides
of δ_S, and on to z_t, t = s + δ_T. The gradient is what the prompt asks for at t less what is there at s:
w(t)(ε̂(z_t, t, y) - ε̂(z_s, s, ∅)), ε̂(…, y) under guidance. What to change depends on the picture alone, where score
distillation averages over all noises, which blurs.

Differences: ∅ is the negative prompt, as everywhere in this package; δ_T stays as it is, where the official code lets
it fall from a tenth early on; each view has its own t.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.distillation.base import LatentGradient
from pgc.distillation.ddim import ddim_step, invert
from pgc.distillation.noise.sources import IndependentNoiseConfig
from pgc.distillation.score import ScoreConfig, guided_noise
from pgc.distillation.timestep import draw_timesteps
from pgc.distillation.weighting import WeightingConfig, weights
from pgc.errors import ConfigError
from pgc.guidance.base import Conditions, Guidance

__all__ = ["ISMConfig", "ISMLoss", "ism_gradient", "strided_timesteps"]


def ism_gradient(
    noise_pred: Float[Tensor, "b k m n"], noise_before: Float[Tensor, "b k m n"], weight: Float[Tensor, "b 1 1 1"]
) -> Float[Tensor, "b k m n"]:
    """Computes ∂L/∂z = w(t) (ε̂(z_t, t, y) − ε̂(z_s, s, ∅))."""
    return weight * (noise_pred - noise_before)


def strided_timesteps(end: Int[Tensor, " b"], stride: int) -> list[Int[Tensor, " b"]]:
    """Returns the timesteps of each view from 0 to its `end` in whole strides; a view that is there stays there."""
    return [end.clamp_max(step * stride) for step in range(math.ceil(int(end.max()) / stride) + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ISMConfig(ScoreConfig):
    """The settings of interval score matching."""

    kind: Literal["ism"] = "ism"
    guidance_scale: float = 7.5
    weighting: WeightingConfig = field(default_factory=lambda: WeightingConfig(kind="noise_to_signal"))
    """The official code's."""
    interval: float = 0.08
    """δ_T, as a fraction of all timesteps."""
    stride: float = 0.2
    """δ_S, likewise."""

    def __post_init__(self) -> None:
        ScoreConfig.__post_init__(self)
        for name in ("interval", "stride"):
            if not 0.001 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"distillation.{name} is {getattr(self, name)}; it must lie in [0.001, 1].")
        if not isinstance(self.noise, IndependentNoiseConfig):
            raise ConfigError("distillation.noise is of the surface, but ISM draws no noise; leave it out.")


class ISMLoss:
    """The difference of two scores on one deterministic path."""

    needs_encoder_gradient = True
    has_image_target = False

    def __init__(self, config: ISMConfig) -> None:
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
        """Returns what `DistillationLoss.gradient` says; `noise` is the one that takes z to z_t."""
        config, alphas_cumprod = self.config, guidance.alphas_cumprod
        count = alphas_cumprod.shape[0]
        drawn = draw_timesteps(config.timestep, progress, count, batch=latents.shape[0], generator=generator)
        timestep = drawn.to(latents.device)
        before = (timestep - max(1, round(config.interval * count))).clamp_min(0)

        def unconditional(sample: Tensor, at: Tensor) -> Tensor:
            return guidance.predict_noise(sample, at, conditions).uncond

        times = strided_timesteps(before, max(1, round(config.stride * count)))
        sample = invert(unconditional, latents, alphas_cumprod, times)
        noise_before = unconditional(sample, before.clamp_min(1))
        noisy = ddim_step(sample, noise_before, alphas_cumprod, start=before, end=timestep)
        noise_pred = guided_noise(guidance.predict_noise(noisy, timestep, conditions), config)
        alpha = alphas_cumprod[timestep][:, None, None, None].to(latents.dtype)
        weight = weights(config.weighting, alphas_cumprod, timestep).to(latents.dtype)
        return LatentGradient(
            gradient=ism_gradient(noise_pred, noise_before, weight),
            timestep=timestep,
            noise=(noisy - alpha.sqrt() * latents) / (1.0 - alpha).sqrt(),
            noise_pred=noise_pred,
        )
