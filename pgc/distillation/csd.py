# SPDX-License-Identifier: Apache-2.0
"""Classifier score distillation: Yu et al., "Text-to-3D with Classifier Score Distillation", ICLR 2024, eq. 6.

Of score distillation under guidance, w(t) [(ε̂_cond - ε) + (s - 1)(ε̂_cond - ε̂_uncond)], the second part alone: what an
implicit classifier of the prompt says. The noise that was added drops out.

Differences: the paper weighs a negative prompt against the empty one and lets that weight fall; here the negative
prompt is the unconditional half itself, as everywhere in this package. The scale stands in for the paper's weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.distillation.base import LatentGradient
from pgc.distillation.score import ScoreConfig, ask_once, check_no_rescale
from pgc.guidance.base import Conditions, Guidance, NoisePrediction

__all__ = ["CSDConfig", "CSDLoss", "csd_gradient"]


def csd_gradient(
    prediction: NoisePrediction, weight: Float[Tensor, "b 1 1 1"], scale: float = 1.0
) -> Float[Tensor, "b k m n"]:
    """Computes ∂L/∂z = w(t) · scale · (ε̂_cond − ε̂_uncond)."""
    return weight * scale * (prediction.cond - prediction.uncond)


@dataclass(frozen=True, slots=True, kw_only=True)
class CSDConfig(ScoreConfig):
    """The settings of classifier score distillation."""

    kind: Literal["csd"] = "csd"
    guidance_scale: float = 1.0
    """A factor on the gradient: of the size of score distillation's at the same scale. Neither the paper's formula nor
    the official PGC code has one."""

    def __post_init__(self) -> None:
        ScoreConfig.__post_init__(self)
        check_no_rescale(self, "CSD")


class CSDLoss:
    """The classifier's part of the gradient."""

    needs_encoder_gradient = True
    has_image_target = False

    def __init__(self, config: CSDConfig) -> None:
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
        return LatentGradient(
            gradient=csd_gradient(answer.prediction, answer.weight, self.config.guidance_scale),
            timestep=answer.timestep,
            noise=answer.noise,
            noise_pred=answer.prediction.cond,
        )
