# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of score distillation against published and hand-computed values."""

import pytest
import torch

from pgc.distillation.base import add_noise
from pgc.distillation.sds import SDSConfig, SDSLoss, sds_gradient
from pgc.distillation.weighting import WeightingConfig, weights
from pgc.errors import ConfigError
from pgc.guidance.base import NoisePrediction
from tests.pgc.distillation.known_priors import KnownPrior, alphas_cumprod, latent, outcome, random_latents, towards


def test_value_of_the_gradient():
    """Point 3 of the parity list. The official code's s = 100 is diffusers' 101."""
    prediction = NoisePrediction(cond=latent(0.2), uncond=latent(0.1))
    noise_pred = prediction.guided(101.0)
    torch.testing.assert_close(noise_pred, latent(10.2))
    weight = weights(WeightingConfig(), alphas_cumprod(), torch.tensor([500]))
    torch.testing.assert_close(sds_gradient(noise_pred, latent(0.05), weight), latent(7.3452), atol=1e-4, rtol=0)


def test_noise_is_added_by_ddpm():
    alphas = torch.tensor([0.64, 0.36])
    noisy = add_noise(latent(1.0).repeat(2, 1, 1, 1), latent(10.0).repeat(2, 1, 1, 1), alphas, torch.tensor([0, 1]))
    assert noisy[0, 0, 0, 0] == pytest.approx(0.8 + 0.6 * 10)
    assert noisy[1, 0, 0, 0] == pytest.approx(0.6 + 0.8 * 10)


def test_a_perfect_score_gives_the_distance_to_its_mode():
    """w (ε̂ − ε) = √ᾱ √(1 − ᾱ) (z − z*), whatever the noise and the guidance scale."""
    prior, latents, truth = KnownPrior(towards(random_latents(3, 4))), random_latents(3, 5), random_latents(3, 4)
    result = outcome(SDSLoss(SDSConfig(guidance_scale=50.0)), prior, latents)
    alpha = prior.alphas_cumprod[result.timestep][:, None, None, None]
    expected = (alpha * (1 - alpha)).sqrt() * (latents - truth)
    torch.testing.assert_close(result.gradient, expected, atol=3e-5, rtol=1e-4)
    assert prior.asked == [result.timestep.tolist()]


def test_the_weight_is_the_configured_one():
    latents, config = random_latents(2, 5), WeightingConfig(kind="constant", scale=3.0)
    prior = KnownPrior(lambda noisy, _: (torch.ones_like(noisy), torch.zeros_like(noisy)))
    result = outcome(SDSLoss(SDSConfig(guidance_scale=2.0, weighting=config)), prior, latents)
    torch.testing.assert_close(result.gradient, 3.0 * (2.0 - result.noise))


@pytest.mark.parametrize("scale", [-1.0, float("nan"), float("inf")])
def test_a_scale_out_of_range_is_refused(scale):
    with pytest.raises(ConfigError, match=r"guidance_scale is .*; it must be 0 or more"):
        SDSConfig(guidance_scale=scale)
