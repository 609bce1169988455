# SPDX-License-Identifier: Apache-2.0
"""What every distillation loss has in common: it returns a *gradient* on the latents, not a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.guidance.base import Conditions, Guidance

__all__ = ["DistillationLoss", "LatentGradient", "LearningLoss", "add_noise"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatentGradient:
    """The outcome of one distillation step."""

    gradient: Float[Tensor, "b k m n"]
    """∂L/∂z, summed over the batch as the official code does (each view has its own row)."""
    timestep: Int[Tensor, " b"]
    noise: Float[Tensor, "b k m n"]
    noise_pred: Float[Tensor, "b k m n"]
    """After classifier-free guidance; of the last call where there were several."""
    image_target: Float[Tensor, "b 3 h w"] | None = None
    """What the image should become, in [0, 1] at the guidance's `image_size`; None where a loss has no such term."""
    image_weight: float | Float[Tensor, "b 1 1 1"] = 0.0
    """Of image − image_target in ∂L/∂x, which it enters beside the encoder; one for all views or one a view."""


@runtime_checkable
class DistillationLoss(Protocol):
    """A paper's way from latents to a gradient on them."""

    needs_encoder_gradient: bool
    """Whether the gradient on the latents is to be carried through the encoder to the image."""
    has_image_target: bool
    """Whether its gradients come with an `image_target`."""

    def gradient(
        self,
        latents: Float[Tensor, "b k m n"],
        guidance: Guidance,
        conditions: Conditions,
        *,
        progress: float,
        generator: torch.Generator,
    ) -> LatentGradient:
        """Returns ∂L/∂z at `latents` (detached), with `progress` in [0, 1] and all draws from `generator` (CPU)."""
        ...


@runtime_checkable
class LearningLoss(Protocol):
    """A loss that learns while the texture does: what it has learnt belongs to a run's checkpoint.

    It learns inside of `gradient`, from the very views that it is asked about.
    """

    def state_dict(self) -> dict[str, Tensor]:
        """Returns what it has learnt, and its optimiser's state, by name."""
        ...

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from there.

        Raises:
            CheckpointError: the state is of another loss or prior.
        """
        ...


def add_noise(
    latents: Float[Tensor, "b k m n"],
    noise: Float[Tensor, "b k m n"],
    alphas_cumprod: Float[Tensor, " t"],
    timestep: Int[Tensor, " b"],
) -> Float[Tensor, "b k m n"]:
    """Computes z_t = √ᾱ_t · z + √(1 − ᾱ_t) · ε (Ho et al., DDPM, 2020, eq. 4)."""
    alpha = alphas_cumprod[timestep].to(latents.dtype)[:, None, None, None]
    return alpha.sqrt() * latents + (1.0 - alpha).sqrt() * noise
