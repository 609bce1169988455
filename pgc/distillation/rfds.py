# SPDX-License-Identifier: Apache-2.0
"""RFDS: Yang et al., "Text-to-Image Rectified Flow as Plug-and-Play Priors", ICLR 2025.

Score distillation for a prior that says velocities: w(t)(u - (ε - z)), where u is its velocity at (1 - σ)·z + σ·ε and
ε - z the one that leads from the picture to the noise that was drawn. As ε̂ - ε is (1 - σ) times that, it is `sds` with
another weight: more at much noise, where little of the picture is left.

Differences: the paper draws σ evenly; here a fraction of the run's timesteps is shifted with the size of the picture,
as the model's own sampler does. RFDS-Rev, which first asks for the noise that fits the picture, is not here; `sdi` does
that for any prior. Scale (100) and times (0.3 to 0.98) are those of the published settings for SD3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.distillation.base import LatentGradient
from pgc.distillation.score import ScoreConfig, ask_once, guided_noise
from pgc.distillation.sds import sds_gradient
from pgc.distillation.timestep import TimestepConfig, UniformTimestepConfig
from pgc.distillation.weighting import WeightingConfig
from pgc.guidance.base import Conditions, Guidance

__all__ = ["RFDSConfig", "RFDSLoss", "signal_share"]


def signal_share(alpha_cumprod: Float[Tensor, " b"]) -> Float[Tensor, "b 1 1 1"]:
    """Returns 1 - σ of a straight flow: √ᾱ / (√ᾱ + √(1 - ᾱ))."""
    signal, noise = alpha_cumprod.sqrt(), (1.0 - alpha_cumprod).sqrt()
    return (signal / (signal + noise))[:, None, None, None]


def _even_weight() -> WeightingConfig:
    return WeightingConfig(kind="constant")


def _published_times() -> TimestepConfig:
    return UniformTimestepConfig(minimum=0.3, maximum=0.98)


@dataclass(frozen=True, slots=True, kw_only=True)
class RFDSConfig(ScoreConfig):
    """The settings of rectified-flow distillation sampling."""

    kind: Literal["rfds"] = "rfds"
    timestep: TimestepConfig = field(default_factory=_published_times)
    weighting: WeightingConfig = field(default_factory=_even_weight)


class RFDSLoss:
    """The residual of the velocity."""

    needs_encoder_gradient = True
    has_image_target = False

    def __init__(self, config: RFDSConfig) -> None:
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
        noise_pred = guided_noise(answer.prediction, self.config)
        share = signal_share(guidance.alphas_cumprod[answer.timestep]).to(latents.dtype)
        return LatentGradient(
            gradient=sds_gradient(noise_pred, answer.noise, answer.weight / share),
            timestep=answer.timestep,
            noise=answer.noise,
            noise_pred=noise_pred,
        )
