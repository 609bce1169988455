# SPDX-License-Identifier: Apache-2.0
"""Names, configurations and losses belong together, and the page about them says what the code does."""

import re
from copy import copy
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

import pytest
import torch

import pgc.distillation
from pgc.distillation.base import DistillationLoss, LearningLoss
from pgc.distillation.bgt import BGTConfig
from pgc.distillation.build import (
    DistillationConfig,
    DistillationName,
    build_distillation,
    distillation_named,
    has_image_target,
)
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.noise.sources import SurfaceNoiseConfig
from pgc.distillation.sds import SDSConfig, SDSLoss
from pgc.distillation.timestep import TimestepName, UniformTimestepConfig
from pgc.distillation.vsd import VSDConfig
from pgc.errors import ConfigError
from pgc.guidance.oracle import ConvolutionEncoderConfig, OracleConfig, OracleGuidance
from tests.pgc.distillation.known_priors import TrainablePrior, outcome, random_latents

NAMES = get_args(DistillationName)
PRIOR = TrainablePrior(lambda noisy, _: (noisy, noisy))
PAGE = (Path(next(iter(pgc.distillation.__path__))) / "README.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| .*? \| (\d+) \|", PAGE, flags=re.MULTILINE))
"""Of the page's table: how many calls of the prior a loss makes in a step at t = 500."""
UGLY = OracleConfig(image_size=16, encoder=ConvolutionEncoderConfig())


def served(kind, prior=PRIOR):
    """The same prior; for the loss of flow models one that says velocities."""
    other = copy(prior)
    other.prediction_type = "velocity" if kind == "rfds" else prior.prediction_type
    return other


@pytest.mark.parametrize("name", NAMES)
def test_a_name_leads_to_its_configuration_and_its_loss(name):
    config = distillation_named(name, HiFAConfig(latent_weight=0.25))
    assert config.kind == name
    loss = build_distillation(config, served(name), seed=1)
    assert isinstance(loss, DistillationLoss)
    assert type(loss).__name__ == type(config).__name__.replace("Config", "Loss")


def test_every_configuration_has_a_name():
    assert {type(distillation_named(name, SDSConfig())) for name in NAMES} == set(get_args(DistillationConfig))


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_of_the_named_loss_stays_as_it_is(name):
    preset = distillation_named(name, SDSConfig(guidance_scale=3.0) if name != "sds" else HiFAConfig())
    assert distillation_named(name, preset) is preset


def test_no_scale_of_another_loss_is_carried_over():
    assert distillation_named("hifa", SDSConfig(guidance_scale=100.0)) == HiFAConfig()
    assert distillation_named("sds", HiFAConfig(guidance_scale=7.0)) == SDSConfig()


def test_two_losses_never_look_alike_where_settings_are_compared():
    """A run's fingerprint sees the values, not the type."""
    seen = [asdict(distillation_named(name, SDSConfig(guidance_scale=1.0))) for name in NAMES]
    assert len({str(sorted(values.items())) for values in seen}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_only_vsd_learns(name):
    loss = build_distillation(distillation_named(name, SDSConfig()), served(name))
    assert isinstance(loss, LearningLoss) == (name == "vsd")


@pytest.mark.parametrize("config", [HiFAConfig(), BGTConfig()], ids=lambda config: config.kind)
def test_a_loss_that_compares_pictures_is_refused_where_none_can_be_decoded(config):
    oracle = OracleGuidance(UGLY, torch.device("cpu"))
    with pytest.raises(ConfigError, match=f"distillation is {config.kind}, which compares pictures"):
        build_distillation(config, oracle)
    build_distillation(HiFAConfig(image_weight=0.0), oracle)
    build_distillation(config, OracleGuidance(OracleConfig(image_size=16), torch.device("cpu")))


def test_vsd_is_refused_where_there_is_no_network():
    with pytest.raises(ConfigError, match=r"distillation is vsd, .* but oracle has none"):
        build_distillation(VSDConfig(), OracleGuidance(UGLY, torch.device("cpu")))
    with pytest.raises(ConfigError, match="but this run has none"):
        build_distillation(VSDConfig())


@pytest.mark.parametrize(
    "config", [*(distillation_named(name, SDSConfig()) for name in NAMES), HiFAConfig(image_weight=0.0)]
)
def test_whether_a_loss_gives_a_picture_is_known_before_it_is_built(config):
    assert has_image_target(config) == build_distillation(config, served(config.kind)).has_image_target


def test_noise_of_the_surface_follows_the_runs_seed():
    config = SDSConfig(noise=SurfaceNoiseConfig(seed=3))
    loss = build_distillation(config, seed=4)
    assert isinstance(loss, SDSLoss)
    assert loss.config == SDSConfig(noise=SurfaceNoiseConfig(seed=7))


def test_each_loss_has_a_row_and_each_row_is_a_loss():
    assert tuple(ROWS) == get_args(DistillationName)


def test_each_schedule_is_named():
    named = re.search(r"timestep\.py: ([\w, ]+)", PAGE)
    assert named is not None
    assert tuple(named[1].split(", ")) == get_args(TimestepName)


@pytest.mark.parametrize("name", get_args(DistillationName))
def test_a_step_costs_the_calls_that_the_page_says(name):
    half = UniformTimestepConfig(minimum=0.5, maximum=0.5)
    prior = served(name, TrainablePrior(lambda noisy, _: (noisy.sin(), noisy.cos())))
    loss = build_distillation(replace(distillation_named(name, SDSConfig()), timestep=half), prior)
    outcome(loss, prior, random_latents(1, 5))
    assert len(prior.asked) == int(ROWS[name])
