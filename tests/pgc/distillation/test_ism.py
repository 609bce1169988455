# SPDX-License-Identifier: Apache-2.0
"""Interval score matching: its path, its calls, and what it says of a picture that is right already."""

import pytest
import torch

from pgc.distillation.ism import ISMConfig, ISMLoss, strided_timesteps
from pgc.distillation.noise.sources import SurfaceNoiseConfig
from pgc.distillation.timestep import UniformTimestepConfig
from pgc.errors import ConfigError
from tests.pgc.distillation.known_priors import KnownPrior, outcome, random_latents


def fixed(t):
    return UniformTimestepConfig(minimum=t / 1000, maximum=t / 1000)


def test_a_view_that_has_arrived_waits_for_the_others():
    times = strided_timesteps(torch.tensor([130, 420]), 200)
    assert [at.tolist() for at in times] == [[0, 0], [130, 200], [130, 400], [130, 420]]
    assert [at.tolist() for at in strided_timesteps(torch.tensor([0]), 200)] == [[0]]


def test_the_prior_is_asked_along_the_path_and_at_both_of_its_ends():
    prior = KnownPrior(lambda noisy, _: (noisy.sin(), noisy.cos()))
    outcome(ISMLoss(ISMConfig(timestep=fixed(500))), prior, random_latents(2, 5))
    assert [asked[0] for asked in prior.asked] == [1, 200, 400, 420, 500]
    again = KnownPrior(lambda noisy, _: (noisy.sin(), noisy.cos()))
    outcome(ISMLoss(ISMConfig(timestep=fixed(60))), again, random_latents(2, 5))
    assert [asked[0] for asked in again.asked] == [1, 60]


def test_no_noise_is_drawn():
    prior, latents = KnownPrior(lambda noisy, _: (noisy.sin(), noisy.cos())), random_latents(2, 5)
    loss = ISMLoss(ISMConfig(timestep=fixed(300)))
    first, second = (outcome(loss, prior, latents, seed=seed) for seed in (1, 2))
    torch.testing.assert_close(first.gradient, second.gradient, atol=0.0, rtol=0.0)
    torch.testing.assert_close(first.noise, second.noise, atol=0.0, rtol=0.0)


def test_a_prior_that_sees_one_noise_everywhere_and_hears_no_prompt_changes_nothing():
    noise = random_latents(2, 7)
    prior = KnownPrior(lambda noisy, _: (noise, noise))
    result = outcome(ISMLoss(ISMConfig(timestep=fixed(500))), prior, random_latents(2, 5))
    assert not result.gradient.any()
    torch.testing.assert_close(result.noise, noise, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"interval": 0.0}, "interval is"),
        ({"stride": 1.5}, "stride is"),
        ({"noise": SurfaceNoiseConfig()}, "ISM draws no noise"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        ISMConfig(**values)
