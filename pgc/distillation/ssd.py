# SPDX-License-Identifier: Apache-2.0
"""Stable score distillation: Tang et al., "Stable Score Distillation for High-Quality 3D Generation", 2023, alg. 1.

With much noise (t > M) the classifier's part of the score, h = w(t)(ε̂_cond - ε̂_uncond), which leaves the modes that
every prompt shares. With little, the conditional score, which seeks them; its variance is held down by what of it is
not simply the noise that was added, and it gets the length of h: ‖h‖/‖ε̃‖ · ε̃, ε̃ = ε̂_cond - (⟨ε̂_cond, ε⟩/‖ε‖²) ε.

Differences from the official PGC code: it divides by ‖ε‖ in place of ‖ε‖², so that its ε̃ is -ε but for a hundredth;
it takes the inner product over the whole batch, where each view has a noise of its own; and it only runs with one view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.distillation.base import LatentGradient
from pgc.distillation.csd import csd_gradient
from pgc.distillation.score import ScoreConfig, ask_once, check_no_rescale
from pgc.errors import ConfigError
from pgc.guidance.base import Conditions, Guidance, NoisePrediction

__all__ = ["SSDConfig", "SSDLoss", "ssd_gradient", "without_noise"]


def without_noise(noise_pred: Float[Tensor, "b k m n"], noise: Float[Tensor, "b k m n"]) -> Float[Tensor, "b k m n"]:
    """Computes ε̃: what of a view's prediction is orthogonal to the view's noise."""
    along = (noise_pred * noise).sum(dim=(1, 2, 3), keepdim=True)
    square = noise.square().sum(dim=(1, 2, 3), keepdim=True)
    return noise_pred - along / square.clamp_min(torch.finfo(noise.dtype).tiny) * noise


def _length(latents: Float[Tensor, "b k m n"]) -> Float[Tensor, "b 1 1 1"]:
    return torch.linalg.vector_norm(latents, dim=(1, 2, 3), keepdim=True)


def ssd_gradient(
    prediction: NoisePrediction,
    noise: Float[Tensor, "b k m n"],
    weight: Float[Tensor, "b 1 1 1"],
    is_noisy: Bool[Tensor, " b"],
    scale: float = 1.0,
) -> Float[Tensor, "b k m n"]:
    """Computes ∂L/∂z, of each view by itself; `is_noisy` says of which views t is above M."""
    classifier = csd_gradient(prediction, weight, scale)
    seeking = without_noise(prediction.cond, noise)
    direction = seeking / _length(seeking).clamp_min(torch.finfo(noise.dtype).tiny)
    seeking = _length(classifier) * direction
    return torch.where(is_noisy[:, None, None, None], classifier, seeking)


@dataclass(frozen=True, slots=True, kw_only=True)
class SSDConfig(ScoreConfig):
    """The settings of stable score distillation."""

    kind: Literal["ssd"] = "ssd"
    guidance_scale: float = 1.0
    """A factor on the gradient, as in `CSDConfig`."""
    switch: float = 0.1
    """M, as a fraction of all timesteps; the official PGC code's --ssd_M is 100 of 1000."""

    def __post_init__(self) -> None:
        ScoreConfig.__post_init__(self)
        check_no_rescale(self, "SSD")
        if not 0.0 <= self.switch <= 1.0:
            raise ConfigError(f"distillation.switch is {self.switch}; it must lie in [0, 1].")


class SSDLoss:
    """The classifier's part of the score, or the mode-seeking part, by the timestep."""

    needs_encoder_gradient = True
    has_image_target = False

    def __init__(self, config: SSDConfig) -> None:
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
        answer = ask_once(self.config, latents, guidance, conditions, progress=progress, generator=generator)
        is_noisy = answer.timestep > self.config.switch * guidance.alphas_cumprod.shape[0]
        return LatentGradient(
            gradient=ssd_gradient(answer.prediction, answer.noise, answer.weight, is_noisy, self.config.guidance_scale),
            timestep=answer.timestep,
            noise=answer.noise,
            noise_pred=answer.prediction.cond,
        )
