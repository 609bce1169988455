# SPDX-License-Identifier: Apache-2.0
"""Both halves of classifier-free guidance from a network that answers to one prompt a view."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.errors import GuidanceError
from pgc.guidance.base import Conditions, NoisePrediction, PromptEmbedding

__all__ = ["both_halves", "check_prompts"]


def check_prompts(noisy_latents: Float[Tensor, "b k m n"], conditions: Conditions) -> None:
    """Raises GuidanceError where there are not as many prompts as latents."""
    batch = noisy_latents.shape[0]
    if conditions.prompt.batch != batch:
        raise GuidanceError(f"Got {conditions.prompt.batch} prompts for {batch} latents; expected one a view.")


def both_halves(
    denoise: Callable[[Tensor, Tensor, PromptEmbedding, Sequence[bool]], Tensor],
    noisy_latents: Float[Tensor, "b k m n"],
    timestep: Int[Tensor, " b"],
    conditions: Conditions,
    *,
    sequential: bool,
) -> NoisePrediction:
    """Asks for ε under the negative prompt and under the prompt: in one call of twice the batch, or in two.

    Args:
        denoise: gives ε of latents at timesteps under as many prompts. All views are there once or twice, each time
            under the negative prompt or (True) under the prompt.
        noisy_latents: z_t of each view.
        timestep: t of each view.
        conditions: where the prompts are.
        sequential: two calls, which take less memory.

    Raises:
        GuidanceError: there are not as many prompts as latents.
    """
    check_prompts(noisy_latents, conditions)
    halves = (conditions.negative, conditions.prompt)
    if sequential:
        uncond, cond = (denoise(noisy_latents, timestep, halves[one], (one == 1,)) for one in (0, 1))
    else:
        uncond, cond = denoise(
            torch.cat([noisy_latents] * 2), torch.cat([timestep] * 2), PromptEmbedding.cat(halves), (False, True)
        ).chunk(2)
    return NoisePrediction(cond=cond, uncond=uncond)
