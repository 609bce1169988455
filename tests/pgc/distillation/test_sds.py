# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of score distillation against published and hand-computed values."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from pgc.distillation.base import add_noise
from pgc.distillation.sds import SDSConfig, SDSLoss, sds_gradient
from pgc.distillation.timestep import (
    AnnealedTimestepConfig,
    UniformTimestepConfig,
    draw_timesteps,
    timestep_range,
)
from pgc.distillation.weighting import sigma_squared
from pgc.errors import ConfigError
from pgc.guidance.base import Conditions, NoisePrediction, PredictionType, PromptEmbedding


def alphas_cumprod() -> Tensor:
    """Stable Diffusion's scaled-linear schedule."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


@pytest.mark.parametrize(
    ("timestep", "expected"),
    [(20, 0.981314), (100, 0.894223), (250, 0.673793), (500, 0.276333), (680, 0.095309)],
)
def test_schedule(timestep: int, expected: float) -> None:
    assert float(alphas_cumprod()[timestep]) == pytest.approx(expected, abs=1e-6)


def test_mean_weight_over_the_papers_range() -> None:
    timesteps = torch.arange(20, 501)
    assert float(sigma_squared(alphas_cumprod(), timesteps).mean()) == pytest.approx(0.352827, abs=1e-6)


def latent(value: float) -> Tensor:
    return torch.full((1, 4, 2, 2), value)


def test_value_of_the_gradient() -> None:
    """Point 3 of the parity list. The official code's s = 100 is diffusers' 101."""
    prediction = NoisePrediction(cond=latent(0.2), uncond=latent(0.1))
    noise_pred = prediction.guided(101.0)
    torch.testing.assert_close(noise_pred, latent(10.2))
    gradient = sds_gradient(noise_pred, latent(0.05), alphas_cumprod(), torch.tensor([500]))
    torch.testing.assert_close(gradient, latent(7.3452), atol=1e-4, rtol=0)


def test_noise_is_added_by_ddpm() -> None:
    alphas = torch.tensor([0.64, 0.36])
    noisy = add_noise(latent(1.0).repeat(2, 1, 1, 1), latent(10.0).repeat(2, 1, 1, 1), alphas, torch.tensor([0, 1]))
    assert noisy[0, 0, 0, 0] == pytest.approx(0.8 + 0.6 * 10)
    assert noisy[1, 0, 0, 0] == pytest.approx(0.6 + 0.8 * 10)


def test_the_papers_range_is_inclusive() -> None:
    assert timestep_range(UniformTimestepConfig(), 0.3, 1000) == (20, 500)
    drawn = draw_timesteps(UniformTimestepConfig(), 0.3, 1000, batch=20000, generator=torch.Generator().manual_seed(0))
    assert (int(drawn.min()), int(drawn.max())) == (20, 500)


def test_annealing_runs_from_start_to_end_and_never_back() -> None:
    config = AnnealedTimestepConfig(start=0.6, end=0.1, half_width=0.05)
    ranges = [timestep_range(config, i / 20, 1000) for i in range(21)]
    assert ranges[0] == (550, 650)
    assert ranges[-1] == (50, 150)
    assert ranges == sorted(ranges, reverse=True)
    assert timestep_range(AnnealedTimestepConfig(start=0.01, end=0.01, half_width=0.4), 0.0, 1000)[0] == 1


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: UniformTimestepConfig(minimum=0.5, maximum=0.1), "above"),
        (lambda: UniformTimestepConfig(maximum=1.5), "maximum"),
        (lambda: AnnealedTimestepConfig(start=0.0), "start"),
        (lambda: AnnealedTimestepConfig(half_width=0.5), "half_width"),
        (lambda: AnnealedTimestepConfig(power=0.0), "power"),
        (lambda: SDSConfig(guidance_scale=-1.0), "guidance_scale"),
    ],
)
def test_settings_are_checked(make: object, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        make()  # type: ignore[operator]


class TowardsZero:
    """A prior that knows every image to be the latent 0: ε̂ = z_t / √(1 − ᾱ_t)."""

    name = "towards-zero"
    image_size = 16
    prediction_type: PredictionType = "epsilon"
    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self) -> None:
        self.alphas_cumprod = alphas_cumprod()

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
        return latents

    def predict_noise(self, noisy_latents: Tensor, timestep: Tensor, conditions: Conditions) -> NoisePrediction:
        del conditions
        exact = noisy_latents / (1 - self.alphas_cumprod[timestep])[:, None, None, None].sqrt()
        return NoisePrediction(cond=exact, uncond=exact)


def test_a_perfect_score_gives_the_distance_to_its_mode() -> None:
    """w (ε̂ − ε) = √ᾱ √(1 − ᾱ) (z − z*), whatever the noise and the guidance scale."""
    guidance = TowardsZero()
    latents = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(5))
    prompt = PromptEmbedding(hidden_states=torch.zeros(3, 1, 1), pooled=None)
    conditions = Conditions(prompt=prompt, negative=prompt)
    result = SDSLoss(SDSConfig(guidance_scale=50.0)).gradient(
        latents,
        guidance,
        conditions,
        progress=0.0,
        generator=torch.Generator().manual_seed(6),
    )
    alpha = guidance.alphas_cumprod[result.timestep][:, None, None, None]
    torch.testing.assert_close(result.gradient, (alpha * (1 - alpha)).sqrt() * latents, atol=2e-5, rtol=1e-4)
