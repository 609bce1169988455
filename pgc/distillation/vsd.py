# SPDX-License-Identifier: Apache-2.0
"""Variational score distillation: Wang et al., "ProlificDreamer", NeurIPS 2023, eq. 9 and algorithm 1.

Score distillation compares the prior's noise with the noise that was added; this compares it with what a second network
predicts, one that is trained on the renders as they are: w(t)(ε̂ - ε_φ(z_t, t, y, camera)). What every render has
anyway falls out, so that an ordinary guidance scale is enough. ε_φ is the prior with low-rank adapters and is told the
camera; it takes a step of its own on every step of the run.

Differences: ε_φ is trained on the noise whatever the prior itself predicts, where the official code trains on v for a
prior that predicts v (the same but for a factor of ᾱ a timestep); it reads the prompt of the view, where the official
PGC code gives it one prompt for all; and its camera layer starts at zero, so that ε_φ starts as the prior.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.distillation.base import LatentGradient, add_noise
from pgc.distillation.score import ScoreConfig, ask_once, guided_noise
from pgc.errors import CheckpointError, ConfigError
from pgc.guidance.base import Conditions, Guidance, Trainable

__all__ = ["VSDConfig", "VSDLoss", "vsd_gradient"]


def vsd_gradient(
    noise_pred: Float[Tensor, "b k m n"], learnt: Float[Tensor, "b k m n"], weight: Float[Tensor, "b 1 1 1"]
) -> Float[Tensor, "b k m n"]:
    """Computes ∂L/∂z = w(t) (ε̂ − ε_φ)."""
    return weight * (noise_pred - learnt)


@dataclass(frozen=True, slots=True, kw_only=True)
class VSDConfig(ScoreConfig):
    """The settings of variational score distillation."""

    kind: Literal["vsd"] = "vsd"
    guidance_scale: float = 7.5
    rank: int = 4
    """Of the adapters."""
    learning_rate: float = 1e-4
    """Of the second network."""
    camera_dropout: float = 0.1
    """How often a view's camera is not told in training."""

    def __post_init__(self) -> None:
        ScoreConfig.__post_init__(self)
        if self.rank < 1:
            raise ConfigError(f"distillation.rank is {self.rank}; it must be 1 or more.")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise ConfigError(f"distillation.learning_rate is {self.learning_rate}; it must be above 0.")
        if not 0.0 <= self.camera_dropout <= 1.0:
            raise ConfigError(f"distillation.camera_dropout is {self.camera_dropout}; it must lie in [0, 1].")


class VSDLoss:
    """`DistillationLoss` and `LearningLoss`: the prior's noise against that of a network that knows the renders."""

    needs_encoder_gradient = True
    has_image_target = False

    def __init__(self, config: VSDConfig, guidance: Trainable, *, seed: int) -> None:
        self.config = config
        self.denoiser = guidance.trainable_denoiser(rank=config.rank, seed=seed)
        self.optimizer = torch.optim.AdamW(self.denoiser.parameters(), lr=config.learning_rate)

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
        """Returns what `DistillationLoss.gradient` says, and then learns from these views."""
        answer = ask_once(self.config, latents, guidance, conditions, progress=progress, generator=generator)
        noise_pred = guided_noise(answer.prediction, self.config)
        camera = _cameras(conditions)
        learnt = self.denoiser.predict_noise(answer.noisy, answer.timestep, conditions, camera)
        self.learn(latents, guidance.alphas_cumprod, conditions, generator)
        return LatentGradient(
            gradient=vsd_gradient(noise_pred, learnt, answer.weight),
            timestep=answer.timestep,
            noise=answer.noise,
            noise_pred=noise_pred,
        )

    def learn(
        self,
        latents: Float[Tensor, "b k m n"],
        alphas_cumprod: Float[Tensor, " t"],
        conditions: Conditions,
        generator: torch.Generator,
    ) -> float:
        """Takes a step of the second network on these latents, at any noise; returns its mean squared error before."""
        views = latents.shape[0]
        timestep = torch.randint(1, alphas_cumprod.shape[0], (views,), generator=generator).to(latents.device)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        told = torch.rand((views, 1), generator=generator) >= self.config.camera_dropout
        camera = _cameras(conditions)
        if camera is not None:
            camera = camera * told.to(camera)
        with torch.enable_grad():
            noisy = add_noise(latents.detach(), noise, alphas_cumprod, timestep)
            error = (self.denoiser.predict_noise(noisy, timestep, conditions, camera) - noise).square().mean()
            error.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(error.detach())

    def state_dict(self) -> dict[str, Tensor]:
        """Returns what `LearningLoss.state_dict` says."""
        tensors = {f"denoiser.{name}": value for name, value in self.denoiser.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            for name, value in state.items():
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
        return tensors

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Does what `LearningLoss.load_state_dict` says."""
        start = "denoiser."
        weights = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
        if not weights:
            raise CheckpointError("The checkpoint holds nothing that VSD has learnt; it was written by another loss.")
        self.denoiser.load_state_dict(weights)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".")
                state.setdefault(int(index), {})[key] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})


def _cameras(conditions: Conditions) -> Float[Tensor, "b 16"] | None:
    cameras = conditions.camera_to_world
    return None if cameras is None else cameras.flatten(1).to(conditions.prompt.hidden_states.device)
