# SPDX-License-Identifier: Apache-2.0
"""Both halves of classifier-free guidance from a network that answers to one prompt a view."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.errors import GuidanceError
from pgc.guidance.base import Conditions, NoisePrediction, PromptEmbedding
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig

__all__ = ["Denoise", "both_halves", "check_prompts"]


def check_prompts(noisy_latents: Float[Tensor, "b k m n"], conditions: Conditions) -> None:
    """Raises GuidanceError where there are not as many prompts as latents."""
    batch = noisy_latents.shape[0]
    if conditions.prompt.batch != batch:
        raise GuidanceError(f"Got {conditions.prompt.batch} prompts for {batch} latents; expected one a view.")


Denoise = Callable[[Tensor, Tensor, PromptEmbedding, Sequence[bool], slice], Tensor]
"""Gives ε of latents at timesteps under as many prompts. All views of the slice are there once or twice, each time
under the negative prompt or (True) under the prompt."""


def both_halves(
    denoise: Denoise,
    noisy_latents: Float[Tensor, "b k m n"],
    timestep: Int[Tensor, " b"],
    conditions: Conditions,
    config: LatentDiffusionConfig,
) -> NoisePrediction:
    """Asks for ε under the negative prompt and under the prompt: in one call of twice the batch, or in several.

    Args:
        denoise: asks the network.
        noisy_latents: z_t of each view.
        timestep: t of each view.
        conditions: where the prompts are.
        config: says in how many calls; more take less memory.

    Raises:
        GuidanceError: there are not as many prompts as latents.
    """
    check_prompts(noisy_latents, conditions)
    count = noisy_latents.shape[0]
    rows, times = config.memory.rows, 1 if config.sequential_guidance else 2
    size = count if rows is None else max(1, rows // times)
    found: list[tuple[Tensor, Tensor]] = []
    for first in range(0, count, size):
        views = slice(first, min(first + size, count))
        halves = [prompts.rows(views) for prompts in (conditions.negative, conditions.prompt)]
        noisy, at = noisy_latents[views], timestep[views]
        if times == 1 or (rows == 1 and size == 1):
            uncond, cond = (denoise(noisy, at, halves[one], (one == 1,), views) for one in (0, 1))
        else:
            both = torch.cat([noisy] * 2), torch.cat([at] * 2), PromptEmbedding.cat(halves)
            uncond, cond = denoise(*both, (False, True), views).chunk(2)
        found.append((uncond, cond))
    return NoisePrediction(cond=torch.cat([one[1] for one in found]), uncond=torch.cat([one[0] for one in found]))
