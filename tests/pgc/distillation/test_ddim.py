# SPDX-License-Identifier: Apache-2.0
"""Steps between noise levels: there and back again, and against diffusers' own sampler."""

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from pgc.distillation.ddim import ddim_step, descending_timesteps, invert, predict_clean_latents
from tests.pgc.distillation.known_priors import alphas_cumprod, random_latents


def test_a_step_is_diffusers_own():
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=True
    )
    scheduler.set_timesteps(4)
    noisy, noise = random_latents(2, 1), random_latents(2, 2)
    for start, end in ((500, 250), (750, 500)):
        theirs = scheduler.step(noise, start, noisy)["prev_sample"]
        ours = ddim_step(noisy, noise, alphas_cumprod(), start=torch.tensor([start] * 2), end=torch.tensor([end] * 2))
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_a_step_to_zero_is_the_clean_prediction_and_a_step_to_itself_is_none():
    noisy, noise, at = random_latents(2, 1), random_latents(2, 2), torch.tensor([700, 3])
    clean = ddim_step(noisy, noise, alphas_cumprod(), start=at, end=torch.zeros(2, dtype=torch.long))
    torch.testing.assert_close(clean, predict_clean_latents(noisy, noise, alphas_cumprod(), at))
    same = ddim_step(noisy, noise, alphas_cumprod(), start=at, end=at)
    torch.testing.assert_close(same, noisy, atol=1e-5, rtol=1e-5)


def test_what_was_inverted_is_sampled_back():
    """With a noise that does not depend on the latents, up and down are each other's opposite."""
    latents, noise = random_latents(2, 1), random_latents(2, 2)
    times = [torch.tensor([0, 0]), torch.tensor([200, 300]), torch.tensor([500, 900])]
    noisy = invert(lambda sample, at: noise * (1 + at[:, None, None, None] / 1000), latents, alphas_cumprod(), times)
    back = noisy
    for start, end in ((times[2], times[1]), (times[1], times[0])):
        seen = noise * (1 + end.clamp_min(1)[:, None, None, None] / 1000)
        back = ddim_step(back, seen, alphas_cumprod(), start=start, end=end)
    torch.testing.assert_close(back, latents, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("start", "stride", "expected"), [(3, 10, [3, 0]), (20, 10, [20, 10, 0]), (1, 1, [1, 0])])
def test_whole_strides_down_to_zero(start, stride, expected):
    assert descending_timesteps(start, stride) == expected
