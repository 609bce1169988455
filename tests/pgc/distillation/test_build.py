# SPDX-License-Identifier: Apache-2.0
"""Names, configurations and losses belong together."""

from dataclasses import asdict
from typing import get_args

import pytest

from pgc.distillation.base import DistillationLoss
from pgc.distillation.build import DistillationConfig, DistillationName, build_distillation, distillation_named
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.sds import SDSConfig

NAMES = get_args(DistillationName)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_leads_to_its_configuration_and_its_loss(name):
    config = distillation_named(name, HiFAConfig(latent_weight=0.25))
    assert config.kind == name
    loss = build_distillation(config)
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
