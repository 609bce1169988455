# SPDX-License-Identifier: Apache-2.0
"""Score distillation sampling: Poole et al., "DreamFusion", 2022, eq. 3, on the latents of a latent diffusion model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.distillation.base import LatentGradient
from pgc.distillation.score import ScoreConfig, ask_once, guided_noise
from pgc.guidance.base import Conditions, Guidance

__all__ = ["SDSConfig", "SDSLoss", "sds_gradient"]


def sds_gradient(
    noise_pred: Float[Tensor, "b k m n"], noise: Float[Tensor, "b k m n"], weight: Float[Tensor, "b 1 1 1"]
) -> Float[Tensor, "b k m n"]:
    """Computes ∂L/∂z = w(t) (ε̂ − ε)."""
    return weight * (noise_pred - noise)


@dataclass(frozen=True, slots=True, kw_only=True)
class SDSConfig(ScoreConfig):
    """The settings of score distillation sampling."""

    kind: Literal["sds"] = "sds"


class SDSLoss:
    """DreamFusion's gradient, with classifier-free guidance by diffusers' convention."""

    needs_encoder_gradient = True
    has_image_target = False

    def __init__(self, config: SDSConfig) -> None:
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
        return LatentGradient(
            gradient=sds_gradient(noise_pred, answer.noise, answer.weight),
            timestep=answer.timestep,
            noise=answer.noise,
            noise_pred=noise_pred,
        )
