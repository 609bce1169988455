# SPDX-License-Identifier: Apache-2.0
"""Deterministic steps between noise levels, down and up: Song et al., DDIM, ICLR 2021, eq. 12 with η = 0.

Timestep 0 means clean latents here (ᾱ = 1), and the prior is asked for them at t = 1: its noise at t = 0 is nothing
that a picture shows, and a prediction of a sample would be divided by it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.errors import ConfigError

__all__ = ["alpha_at", "ddim_step", "descending_timesteps", "invert", "predict_clean_latents", "trailing_timesteps"]


def alpha_at(alphas_cumprod: Float[Tensor, " t"], timestep: Int[Tensor, " b"]) -> Float[Tensor, "b 1 1 1"]:
    """Returns ᾱ_t, and 1 where t is 0."""
    alpha = torch.where(timestep == 0, 1.0, alphas_cumprod[timestep])
    return alpha[:, None, None, None]


def predict_clean_latents(
    noisy: Float[Tensor, "b k m n"],
    noise_pred: Float[Tensor, "b k m n"],
    alphas_cumprod: Float[Tensor, " t"],
    timestep: Int[Tensor, " b"],
) -> Float[Tensor, "b k m n"]:
    """Computes ẑ = (z_t − √(1 − ᾱ_t) ε̂) / √ᾱ_t (DDIM, eq. 9)."""
    alpha = alpha_at(alphas_cumprod, timestep).to(noisy.dtype)
    return (noisy - (1.0 - alpha).sqrt() * noise_pred) / alpha.sqrt()


def ddim_step(
    noisy: Float[Tensor, "b k m n"],
    noise_pred: Float[Tensor, "b k m n"],
    alphas_cumprod: Float[Tensor, " t"],
    *,
    start: Int[Tensor, " b"],
    end: Int[Tensor, " b"],
) -> Float[Tensor, "b k m n"]:
    """Goes from the noise level of `start` to that of `end`, up or down; where both are one, nothing changes."""
    alpha = alpha_at(alphas_cumprod, end).to(noisy.dtype)
    clean = predict_clean_latents(noisy, noise_pred, alphas_cumprod, start)
    return alpha.sqrt() * clean + (1.0 - alpha).sqrt() * noise_pred


def descending_timesteps(start: int, stride: int) -> list[int]:
    """Returns the timesteps from `start` down to 0 in whole strides; the last one may be shorter."""
    return [*range(start, 0, -stride), 0]


def trailing_timesteps(count: int, steps: int, start: float = 1.0) -> list[int]:
    """Returns evenly spaced timesteps in falling order, the first at `start` of `count`.

    "Trailing" spacing (Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", 2024, table 2): from
    pure noise the first step must be the one that was trained on it.

    Raises:
        ConfigError: more steps than timesteps.
    """
    most = round(start * count)
    if steps > most:
        raise ConfigError(f"{steps} sampling steps of a schedule of {most}; use {most} or fewer.")
    return [math.floor(most * left / steps + 0.5) - 1 for left in range(steps, 0, -1)]


def invert(
    ask: Callable[[Float[Tensor, "b k m n"], Int[Tensor, " b"]], Float[Tensor, "b k m n"]],
    latents: Float[Tensor, "b k m n"],
    alphas_cumprod: Float[Tensor, " t"],
    times: Sequence[Int[Tensor, " b"]],
) -> Float[Tensor, "b k m n"]:
    """Goes up from clean latents by the noise that the prior sees in them: DDIM's equation the other way round.

    Args:
        ask: gives the noise of latents at timesteps of 1 or more.
        latents: where to start, at timestep 0.
        alphas_cumprod: ᾱ of the prior.
        times: the timesteps of each view, from zeros upward. The noise is asked for where a step starts.
    """
    sample = latents
    for start, end in itertools.pairwise(times):
        sample = ddim_step(sample, ask(sample, start.clamp_min(1)), alphas_cumprod, start=start, end=end)
    return sample
