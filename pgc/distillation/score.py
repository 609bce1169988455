# SPDX-License-Identifier: Apache-2.0
"""What all losses ask of a prior in the same way: at which timestep, with which noise, under which guidance."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.distillation.base import add_noise
from pgc.distillation.noise.sources import IndependentNoiseConfig, NoiseConfig, draw_noise
from pgc.distillation.timestep import TimestepConfig, UniformTimestepConfig, draw_timesteps
from pgc.distillation.weighting import WeightingConfig, weights
from pgc.errors import ConfigError
from pgc.guidance.base import Conditions, Guidance, NoisePrediction

__all__ = ["Answer", "ScoreConfig", "ask_once", "check_no_rescale", "draw", "guided_noise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreConfig:
    """The settings that every loss has; each loss has defaults of its own for them."""

    guidance_scale: float = 100.0
    """s in uncond + s·(cond − uncond), as diffusers. The official PGC code's 100 is our 101."""
    guidance_rescale: float = 0.0
    """φ of `guided_noise`; 0 leaves the guided prediction as it is, the official PGC code's --cfg_rescale is 0.5."""
    timestep: TimestepConfig = field(default_factory=UniformTimestepConfig)
    weighting: WeightingConfig = field(default_factory=WeightingConfig)
    noise: NoiseConfig = field(default_factory=IndependentNoiseConfig)

    def __post_init__(self) -> None:
        if not (self.guidance_scale >= 0 and math.isfinite(self.guidance_scale)):
            raise ConfigError(f"distillation.guidance_scale is {self.guidance_scale}; it must be 0 or more.")
        if not 0.0 <= self.guidance_rescale <= 1.0:
            raise ConfigError(f"distillation.guidance_rescale is {self.guidance_rescale}; it must lie in [0, 1].")


def check_no_rescale(config: ScoreConfig, loss: str) -> None:
    """Refuses a rescale that the loss has nothing to apply to.

    Raises:
        ConfigError: `guidance_rescale` is not 0.
    """
    if config.guidance_rescale:
        raise ConfigError(
            f"distillation.guidance_rescale is {config.guidance_rescale}, but {loss} has no guided prediction that it "
            "could rescale; use 0."
        )


def guided_noise(prediction: NoisePrediction, config: ScoreConfig) -> Float[Tensor, "b k m n"]:
    """Computes ε̂ under classifier-free guidance, its spread drawn back towards that of the conditional prediction.

    Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", WACV 2024, eq. 15 and 16:
    ε̂·(φ·std(cond)/std(ε̂) + 1 - φ), the deviations over all values of a view. As in diffusers it is applied to the
    noise, where the paper applies it to what the network predicts.
    """
    guided = prediction.guided(config.guidance_scale)
    if config.guidance_rescale == 0.0:
        return guided
    spread = guided.std(dim=(1, 2, 3), keepdim=True).clamp_min(torch.finfo(guided.dtype).tiny)
    ratio = prediction.cond.std(dim=(1, 2, 3), keepdim=True) / spread
    return guided * (config.guidance_rescale * ratio + (1.0 - config.guidance_rescale))


def draw(
    config: ScoreConfig,
    latents: Float[Tensor, "b k m n"],
    count: int,
    conditions: Conditions,
    *,
    progress: float,
    generator: torch.Generator,
) -> tuple[Int[Tensor, " b"], Float[Tensor, "b k m n"]]:
    """Draws a timestep a view, of `count` in all, and the noise, on the device of the latents."""
    drawn = draw_timesteps(config.timestep, progress, count, batch=latents.shape[0], generator=generator)
    noise = draw_noise(config.noise, latents, conditions.surface, generator)
    return drawn.to(latents.device), noise


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What the prior says of a step's views at one noise level."""

    timestep: Int[Tensor, " b"]
    noise: Float[Tensor, "b k m n"]
    noisy: Float[Tensor, "b k m n"]
    prediction: NoisePrediction
    weight: Float[Tensor, "b 1 1 1"]


def ask_once(
    config: ScoreConfig,
    latents: Float[Tensor, "b k m n"],
    guidance: Guidance,
    conditions: Conditions,
    *,
    progress: float,
    generator: torch.Generator,
) -> Answer:
    """Adds drawn noise to the latents and asks the prior for it: one call, as most losses make it."""
    alphas_cumprod = guidance.alphas_cumprod
    timestep, noise = draw(config, latents, alphas_cumprod.shape[0], conditions, progress=progress, generator=generator)
    noisy = add_noise(latents, noise, alphas_cumprod, timestep)
    return Answer(
        timestep=timestep,
        noise=noise,
        noisy=noisy,
        prediction=guidance.predict_noise(noisy, timestep, conditions),
        weight=weights(config.weighting, alphas_cumprod, timestep).to(latents.dtype),
    )
