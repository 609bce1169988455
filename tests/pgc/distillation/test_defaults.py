# SPDX-License-Identifier: Apache-2.0
"""What nobody chooses, and the last values that may be chosen."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from pgc.distillation.base import DistillationLoss
from pgc.distillation.csd import CSDConfig, CSDLoss
from pgc.distillation.hifa import HiFAConfig, HiFALoss
from pgc.distillation.score import ScoreConfig
from pgc.distillation.sds import SDSConfig, SDSLoss
from pgc.distillation.timestep import AnnealedTimestepConfig, UniformTimestepConfig
from pgc.errors import ConfigError
from tests.pgc.distillation.known_priors import KnownPrior, outcome, random_latents


def test_defaults_are_those_of_the_documentation() -> None:
    assert SDSConfig().guidance_scale == 100.0
    hifa = HiFAConfig()
    assert (hifa.guidance_scale, hifa.image_weight, hifa.latent_weight, hifa.denoising_steps) == (7.5, 1.0, 1.0, 1)
    assert hifa.longest_stride == 1.0
    uniform, annealed = UniformTimestepConfig(), AnnealedTimestepConfig()
    assert (uniform.minimum, uniform.maximum) == (0.02, 0.5)
    assert (annealed.start, annealed.end, annealed.half_width, annealed.power) == (0.6, 0.1, 0.08, 0.5)


def test_the_last_values_that_may_be_chosen_can_be() -> None:
    assert SDSConfig(guidance_scale=0.0).guidance_scale == 0.0
    assert HiFAConfig(guidance_scale=0.0, image_weight=0.0).image_weight == 0.0
    assert HiFAConfig(longest_stride=0.01).longest_stride == 0.01
    assert AnnealedTimestepConfig(half_width=0.0).half_width == 0.0
    assert UniformTimestepConfig(minimum=0.3, maximum=0.3).minimum == 0.3


@pytest.mark.parametrize("half_width", [-0.001, 0.5])
def test_a_window_is_neither_negative_nor_as_wide_as_all(half_width: float) -> None:
    with pytest.raises(ConfigError, match="half_width"):
        AnnealedTimestepConfig(half_width=half_width)


@pytest.mark.parametrize(("image", "latent"), [(0.5, 0.0), (0.0, 0.5), (0.5, 0.5)])
def test_a_term_counts_as_soon_as_it_has_a_weight(image: float, latent: float) -> None:
    loss = HiFALoss(HiFAConfig(image_weight=image, latent_weight=latent))
    assert (loss.has_image_target, loss.needs_encoder_gradient) == (image > 0, latent > 0)


@pytest.mark.parametrize("loss", [SDSLoss(SDSConfig()), CSDLoss(CSDConfig())])
def test_score_distillation_goes_through_the_encoder_and_leaves_no_graph(loss: DistillationLoss) -> None:
    assert loss.needs_encoder_gradient
    assert not loss.has_image_target
    prior = KnownPrior(lambda noisy, _timestep: (noisy.sin(), noisy.cos()))
    found = outcome(loss, prior, random_latents(1, 5).requires_grad_())
    assert found.gradient.any()
    assert not found.gradient.requires_grad


@pytest.mark.parametrize(("config", "kind"), [(SDSConfig(), "sds"), (CSDConfig(), "csd"), (HiFAConfig(), "hifa")])
def test_a_configuration_that_is_written_down_says_of_which_loss_it_is(config: ScoreConfig, kind: str) -> None:
    assert asdict(config)["kind"] == kind
