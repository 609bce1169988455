# SPDX-License-Identifier: Apache-2.0
"""Classifier score distillation against hand-computed values."""

import pytest
import torch

from pgc.distillation.csd import CSDConfig, CSDLoss, csd_gradient
from pgc.distillation.sds import SDSConfig, SDSLoss
from pgc.distillation.weighting import WeightingConfig, weights
from pgc.errors import ConfigError
from pgc.guidance.base import NoisePrediction
from tests.pgc.distillation.known_priors import KnownPrior, alphas_cumprod, latent, outcome, random_latents, towards


def test_value_of_the_gradient():
    """Point 3 of the parity list."""
    weight = weights(WeightingConfig(), alphas_cumprod(), torch.tensor([500]))
    found = csd_gradient(NoisePrediction(cond=latent(0.2), uncond=latent(0.1)), weight)
    torch.testing.assert_close(found, latent(0.07237), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        csd_gradient(NoisePrediction(cond=latent(0.2), uncond=latent(0.1)), weight, 10.0), 10 * found
    )


def test_it_is_what_guidance_adds_to_score_distillation():
    """SDS at s less SDS at 1 is (s - 1) times CSD, whatever the noise."""
    latents = random_latents(2, 5)
    prior = KnownPrior(lambda noisy, t: (noisy.sin(), noisy.cos() * t[:, None, None, None] / 1000))
    found = outcome(CSDLoss(CSDConfig()), prior, latents)
    strong, plain = (outcome(SDSLoss(SDSConfig(guidance_scale=s)), prior, latents) for s in (8.0, 1.0))
    torch.testing.assert_close(7.0 * found.gradient, strong.gradient - plain.gradient, atol=1e-5, rtol=1e-4)


def test_a_prior_that_does_not_hear_the_prompt_says_nothing():
    assert not outcome(
        CSDLoss(CSDConfig()), KnownPrior(towards(random_latents(2, 1))), random_latents(2, 2)
    ).gradient.any()


def test_a_rescale_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"guidance_rescale is 0\.5, but CSD has no guided prediction"):
        CSDConfig(guidance_rescale=0.5)
