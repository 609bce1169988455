# SPDX-License-Identifier: Apache-2.0
"""Classifier-free guidance and its rescale, in the one place where all losses get them."""

import numpy as np
import pytest
import torch

from pgc.distillation.score import ScoreConfig, guided_noise
from pgc.errors import ConfigError
from pgc.guidance.base import NoisePrediction
from tests.pgc.distillation.known_priors import random_latents


def prediction():
    return NoisePrediction(
        cond=random_latents(2, 1) * torch.tensor([1.0, 5.0])[:, None, None, None], uncond=random_latents(2, 2)
    )


def test_without_rescale_it_is_classifier_free_guidance():
    found = guided_noise(prediction(), ScoreConfig(guidance_scale=3.0))
    torch.testing.assert_close(found, prediction().guided(3.0), atol=0.0, rtol=0.0)


@pytest.mark.parametrize("rescale", [0.5, 0.7, 1.0])
def test_the_spread_of_each_view_is_drawn_towards_the_conditional_one(rescale):
    config = ScoreConfig(guidance_scale=12.0, guidance_rescale=rescale)
    found = guided_noise(prediction(), config).numpy()
    for view in range(2):
        cond, uncond = prediction().cond[view].numpy(), prediction().uncond[view].numpy()
        guided = uncond + 12.0 * (cond - uncond)
        rescaled = guided * cond.std(ddof=1) / guided.std(ddof=1)
        np.testing.assert_allclose(found[view], rescale * rescaled + (1 - rescale) * guided, rtol=2e-5, atol=1e-6)
    if rescale == 1.0:
        assert found[1].std() == pytest.approx(float(prediction().cond[1].std(correction=0)), rel=1e-5)


def test_a_constant_prediction_is_not_divided_by_its_spread():
    flat = NoisePrediction(cond=torch.zeros(1, 4, 2, 2), uncond=torch.zeros(1, 4, 2, 2))
    assert not guided_noise(flat, ScoreConfig(guidance_rescale=1.0)).any()


@pytest.mark.parametrize("rescale", [-0.1, 1.1, float("nan")])
def test_a_rescale_out_of_range_is_refused(rescale):
    with pytest.raises(ConfigError, match=r"guidance_rescale is .*; it must lie in \[0, 1\]"):
        ScoreConfig(guidance_rescale=rescale)
