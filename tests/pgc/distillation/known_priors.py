# SPDX-License-Identifier: Apache-2.0
"""A prior whose answers a test chooses, on the schedule of Stable Diffusion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from pgc.distillation.base import DistillationLoss, LatentGradient
from pgc.guidance.base import Conditions, NoisePrediction, PredictionType, PromptEmbedding

__all__ = [
    "KnownDenoiser",
    "KnownPrior",
    "TrainablePrior",
    "alphas_cumprod",
    "latent",
    "outcome",
    "prompts",
    "random_latents",
    "towards",
]

Answers = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From noisy latents and timesteps to ε̂ with and without the prompt."""


def alphas_cumprod() -> Tensor:
    """Stable Diffusion's scaled-linear schedule."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


def latent(value: float) -> Tensor:
    return torch.full((1, 4, 2, 2), value)


def random_latents(views: int, seed: int, side: int = 4) -> Tensor:
    return torch.randn((views, 4, side, side), generator=torch.Generator().manual_seed(seed))


def prompts(views: int) -> Conditions:
    prompt = PromptEmbedding(hidden_states=torch.zeros(views, 1, 1))
    return Conditions(prompt=prompt, negative=prompt)


def towards(image: Tensor) -> Answers:
    """A prior that knows every image to be this one: ε̂ = (z_t - √ᾱ z*) / √(1 - ᾱ)."""

    def answers(noisy: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        alpha = alphas_cumprod()[timestep][:, None, None, None]
        exact = (noisy - alpha.sqrt() * image) / (1 - alpha).sqrt()
        return exact, exact

    return answers


class KnownPrior:
    """Latents are the image's own values, of four channels; `asked` holds the timesteps of every call."""

    name = "known"
    image_size = 4
    prediction_type: PredictionType = "epsilon"
    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, answers: Answers) -> None:
        self.alphas_cumprod = alphas_cumprod()
        self.answers = answers
        self.asked: list[list[int]] = []

    def encode_prompt(self, prompts: Sequence[str], *, negative: bool = False) -> PromptEmbedding:
        del negative
        return PromptEmbedding(hidden_states=torch.zeros(len(prompts), 1, 1))

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        del prompt
        return ()

    def encode_image(self, image: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        del generator
        return image

    def decode_latents(self, latents: Tensor) -> Tensor:
        return latents[:, :3].clamp(0, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)

    def predict_noise(self, noisy_latents: Tensor, timestep: Tensor, conditions: Conditions) -> NoisePrediction:
        del conditions
        self.asked.append(timestep.tolist())
        cond, uncond = self.answers(noisy_latents, timestep)
        return NoisePrediction(cond=cond, uncond=uncond)


class KnownDenoiser:
    """ε̂ = scale · z_t + shift · (sum of the camera's numbers), with a scale and a shift to be learnt."""

    def __init__(self) -> None:
        self.scale, self.shift = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
        self.cameras: list[Tensor | None] = []

    def parameters(self) -> list[nn.Parameter]:
        return [self.scale, self.shift]

    def predict_noise(
        self, noisy_latents: Tensor, timestep: Tensor, conditions: Conditions, camera: Tensor | None
    ) -> Tensor:
        del timestep, conditions
        self.cameras.append(camera)
        told = 0.0 if camera is None else camera.sum(1)[:, None, None, None]
        return self.scale * noisy_latents + self.shift * told

    def state_dict(self) -> dict[str, Tensor]:
        return {"scale": self.scale.detach(), "shift": self.shift.detach()}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            self.scale.copy_(tensors["scale"])
            self.shift.copy_(tensors["shift"])


class TrainablePrior(KnownPrior):
    """A prior whose second network is a `KnownDenoiser`."""

    def trainable_denoiser(self, *, rank: int, seed: int) -> KnownDenoiser:
        del rank, seed
        return KnownDenoiser()


def outcome(
    loss: DistillationLoss, prior: KnownPrior, latents: Tensor, *, progress: float = 0.5, seed: int = 6
) -> LatentGradient:
    """What a loss says of these latents."""
    return loss.gradient(
        latents, prior, prompts(len(latents)), progress=progress, generator=torch.Generator().manual_seed(seed)
    )
