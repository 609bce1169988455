# SPDX-License-Identifier: Apache-2.0
"""Score distillation via inversion: the noise is the picture's own."""

import pytest
import torch

from pgc.distillation.sdi import SDIConfig, SDILoss, mixed_noise, noise_between
from pgc.distillation.timestep import UniformTimestepConfig
from pgc.errors import ConfigError
from tests.pgc.distillation.known_priors import KnownPrior, alphas_cumprod, outcome, random_latents

FIXED = UniformTimestepConfig(minimum=0.5, maximum=0.5)


def test_the_prior_is_asked_in_even_steps_up_to_t_and_once_there():
    prior = KnownPrior(lambda noisy, _: (noisy.sin(), noisy.cos()))
    outcome(SDILoss(SDIConfig(timestep=FIXED, inversion_steps=5)), prior, random_latents(1, 5))
    assert [asked[0] for asked in prior.asked] == [1, 100, 200, 300, 400, 500]


def test_the_noise_of_a_picture_is_found_again():
    noise = random_latents(2, 7)
    prior = KnownPrior(lambda noisy, _: (noise, noise))
    result = outcome(SDILoss(SDIConfig(timestep=FIXED, fresh_noise=0.0)), prior, random_latents(2, 5))
    torch.testing.assert_close(result.noise, noise, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(result.gradient, torch.zeros_like(noise), atol=1e-4, rtol=0)


def test_inversion_goes_under_its_own_guidance():
    """The prompt sees ε, no prompt nothing: under guidance -7.5 the picture's noise is -7.5 ε, the gradient w 15 ε."""
    noise = random_latents(1, 7)
    prior = KnownPrior(lambda noisy, _: (noise, torch.zeros_like(noise)))
    result = outcome(SDILoss(SDIConfig(timestep=FIXED, fresh_noise=0.0)), prior, random_latents(1, 5))
    torch.testing.assert_close(result.noise, -7.5 * noise, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(result.gradient, (1 - 0.276333) * 15.0 * noise, atol=1e-3, rtol=1e-4)


def test_fresh_noise_keeps_the_variance():
    inverted, fresh = random_latents(4, 1, side=64), random_latents(4, 2, side=64)
    mixed = mixed_noise(inverted, fresh, 0.3)
    assert float(mixed.std()) == pytest.approx(1.0, abs=0.01)
    assert float((mixed * fresh).mean()) == pytest.approx(0.3, abs=0.02)
    prior, latents = KnownPrior(lambda noisy, _: (noisy.sin(), noisy.cos())), random_latents(1, 5)
    loss = SDILoss(SDIConfig(timestep=FIXED))
    assert not torch.equal(outcome(loss, prior, latents, seed=1).noise, outcome(loss, prior, latents, seed=2).noise)


def test_noise_between_undoes_adding_it():
    latents, noise = random_latents(2, 1), random_latents(2, 2)
    alpha = alphas_cumprod()[torch.tensor([20, 900])][:, None, None, None]
    noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
    torch.testing.assert_close(noise_between(latents, noisy, alpha), noise, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inversion_steps": 0}, "inversion_steps is 0"),
        ({"fresh_noise": 1.0}, r"fresh_noise is 1\.0"),
        ({"inversion_guidance_scale": float("nan")}, "inversion_guidance_scale is nan"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        SDIConfig(**values)
