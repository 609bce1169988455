# SPDX-License-Identifier: Apache-2.0
"""Stable score distillation: what is right about it, and what the official code does in its place."""

import pytest
import torch

from pgc.distillation.csd import CSDConfig, CSDLoss
from pgc.distillation.ssd import SSDConfig, SSDLoss, ssd_gradient, without_noise
from pgc.distillation.timestep import UniformTimestepConfig
from pgc.errors import ConfigError
from pgc.guidance.base import NoisePrediction
from tests.pgc.distillation.known_priors import KnownPrior, outcome, random_latents

LITTLE, MUCH = UniformTimestepConfig(minimum=0.02, maximum=0.09), UniformTimestepConfig(minimum=0.2, maximum=0.5)


def length(latents):
    return torch.linalg.vector_norm(latents, dim=(1, 2, 3))


def noise_like_prediction(noise, seed):
    """A real prior's: mostly the noise that was added, and a tenth of something else."""
    return noise + 0.1 * torch.randn(noise.shape, generator=torch.Generator().manual_seed(seed))


def test_with_little_noise_the_gradient_is_orthogonal_to_the_noise_and_as_long_as_the_classifiers():
    noise = random_latents(3, 1, side=16)
    prediction = NoisePrediction(cond=noise_like_prediction(noise, 2), uncond=noise_like_prediction(noise, 3))
    weight = torch.tensor([0.1, 0.5, 2.0])[:, None, None, None]
    found = ssd_gradient(prediction, noise, weight, torch.tensor([False] * 3))
    cosine = (found * noise).sum(dim=(1, 2, 3)) / length(found) / length(noise)
    torch.testing.assert_close(cosine, torch.zeros(3), atol=1e-5, rtol=0)
    expected = weight.flatten() * length(prediction.cond - prediction.uncond)
    torch.testing.assert_close(length(found), expected, atol=1e-5, rtol=1e-5)


def test_the_official_codes_projection_leaves_only_the_noise():
    """Dividing by ‖ε‖ in place of ‖ε‖² takes some hundred times too much away: the gradient is -ε, which no picture
    answers to. A projection must do nothing the second time."""
    noise = random_latents(1, 1, side=32)
    cond = noise_like_prediction(noise, 2)
    official = cond - (cond * noise).sum() / torch.linalg.vector_norm(noise) * noise
    cosine = float((official * noise).sum() / length(official) / length(noise))
    assert cosine == pytest.approx(-1.0, abs=1e-4)
    ours = without_noise(cond, noise)
    torch.testing.assert_close(without_noise(ours, noise), ours, atol=1e-6, rtol=0)


def test_a_view_does_not_see_the_noise_of_another():
    noise = random_latents(2, 1)
    both = NoisePrediction(cond=random_latents(2, 2), uncond=random_latents(2, 3))
    weight, is_noisy = torch.tensor([0.3, 0.9])[:, None, None, None], torch.tensor([False, False])
    together = ssd_gradient(both, noise, weight, is_noisy)
    for view in range(2):
        rows = slice(view, view + 1)
        alone = NoisePrediction(cond=both.cond[rows], uncond=both.uncond[rows])
        torch.testing.assert_close(together[rows], ssd_gradient(alone, noise[rows], weight[rows], is_noisy[rows]))


def test_with_much_noise_it_is_the_classifiers_score():
    prior, latents = KnownPrior(lambda noisy, _: (noisy.sin(), noisy.cos())), random_latents(2, 5)
    ssd = outcome(SSDLoss(SSDConfig(timestep=MUCH)), prior, latents)
    torch.testing.assert_close(ssd.gradient, outcome(CSDLoss(CSDConfig(timestep=MUCH)), prior, latents).gradient)
    little = outcome(SSDLoss(SSDConfig(timestep=LITTLE)), prior, latents)
    torch.testing.assert_close((little.gradient * little.noise).sum(dim=(1, 2, 3)), torch.zeros(2), atol=1e-4, rtol=0)


@pytest.mark.parametrize("t", [100, 101])
def test_the_switch_is_inclusive_below(t):
    fixed = UniformTimestepConfig(minimum=t / 1000, maximum=t / 1000)
    prior, latents = KnownPrior(lambda noisy, _: (noisy.sin(), noisy.cos())), random_latents(1, 5)
    ssd, csd = (
        outcome(loss, prior, latents).gradient
        for loss in (SSDLoss(SSDConfig(timestep=fixed)), CSDLoss(CSDConfig(timestep=fixed)))
    )
    assert torch.equal(ssd, csd) == (t == 101)


def test_a_prediction_that_is_all_noise_gives_nothing():
    noise = random_latents(1, 1)
    prediction = NoisePrediction(cond=torch.zeros_like(noise), uncond=noise)
    found = ssd_gradient(prediction, noise, torch.ones(1, 1, 1, 1), torch.tensor([False]))
    assert not found.any()


@pytest.mark.parametrize(
    ("values", "message"),
    [({"switch": 1.5}, r"switch is 1\.5"), ({"guidance_rescale": 0.5}, "SSD has no guided prediction")],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        SSDConfig(**values)
