# SPDX-License-Identifier: Apache-2.0
"""BGT+: the ratio of its two terms, its weight and its sampling."""

import pytest
import torch

from pgc.distillation.bgt import BGTConfig, BGTLoss
from pgc.distillation.ddim import descending_timesteps
from pgc.distillation.timestep import UniformTimestepConfig
from pgc.errors import ConfigError
from tests.pgc.distillation.known_priors import KnownPrior, outcome, random_latents, towards


def test_the_sampling_goes_down_by_quarters():
    """Point 4 of the parity list: at 0.681 the official code stands at 681, 431, 181 and 0."""
    assert descending_timesteps(681, 250) == [681, 431, 181, 0]
    assert descending_timesteps(250, 250) == [250, 0]
    prior = KnownPrior(towards(random_latents(2, 4)))
    outcome(BGTLoss(BGTConfig()), prior, random_latents(2, 5), progress=0.0)
    assert prior.asked == [[681, 681], [431, 431], [181, 181]]


def test_a_view_with_less_noise_waits_for_the_noisiest():
    truth = random_latents(6, 4) * 0.3 + 0.5
    prior = KnownPrior(towards(truth))
    config = BGTConfig(timestep=UniformTimestepConfig(minimum=0.02, maximum=0.9))
    result = outcome(BGTLoss(config), prior, random_latents(6, 5))
    starts = [min(t, asked) for asked, t in zip(prior.asked[1], result.timestep.tolist(), strict=True)]
    assert prior.asked[1] == starts
    weight = (1 - prior.alphas_cumprod[result.timestep])[:, None, None, None]
    torch.testing.assert_close(result.gradient, weight * (random_latents(6, 5) - truth), atol=1e-4, rtol=1e-3)


def test_both_terms_are_the_gradient_of_the_papers_loss():
    """w(t) [mean (z - ẑ)² + 0.1 mean (x - x̂)²] by autograd, a view at a time, times half of a view's latents."""
    truth, latents = random_latents(2, 4) * 0.3 + 0.5, random_latents(2, 5).requires_grad_()
    prior = KnownPrior(towards(truth))
    image = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(7)).requires_grad_()
    config = BGTConfig(timestep=UniformTimestepConfig(minimum=0.1, maximum=0.9))
    result = outcome(BGTLoss(config), prior, latents.detach())
    target = prior.decode_latents(truth)
    weight = 1 - prior.alphas_cumprod[result.timestep]
    assert len(set(weight.tolist())) == 2
    means = (latents - truth).square().mean(dim=(1, 2, 3)) + 0.1 * (image - target).square().mean(dim=(1, 2, 3))
    (weight * means).sum().backward()
    half = latents[0].numel() / 2
    torch.testing.assert_close(result.gradient, half * latents.grad, atol=2e-4, rtol=1e-3)
    found = result.image_weight * (image.detach() - result.image_target)
    torch.testing.assert_close(found, half * image.grad, atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize(
    ("values", "message"),
    [({"image_ratio": 0.0}, r"image_ratio is 0\.0"), ({"stride": 0.0}, r"stride is 0\.0"), ({"stride": 1.5}, "stride")],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        BGTConfig(**values)
