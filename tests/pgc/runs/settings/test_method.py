# SPDX-License-Identifier: Apache-2.0
"""What a person chooses of the method arrives whole, or is refused by name; nothing is dropped on the way."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from pgc.cameras.named import RigName
from pgc.distillation.build import DistillationName, has_image_target
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.noise.sources import NoiseName, SurfaceNoiseConfig
from pgc.distillation.sds import SDSConfig
from pgc.distillation.timestep import TimestepName, UniformTimestepConfig, timesteps_named
from pgc.distillation.weighting import WeightingConfig, WeightingName
from pgc.errors import ConfigError
from pgc.gradient_regulation.adaptive_clipping import AdaptiveClippingConfig
from pgc.gradient_regulation.build import REGULATIONS, RegulationName, regulation_named
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClippingConfig
from pgc.guidance.specs import GuidanceSpec, OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.optimization.config import OptimizeConfig
from pgc.runs.settings.choices import RunChoices, choices_offered
from pgc.runs.settings.presets import preset_settings, resolve

LOSSES: tuple[DistillationName, ...] = get_args(DistillationName)
SCHEDULES: tuple[TimestepName, ...] = get_args(TimestepName)
SPECS: tuple[GuidanceSpec, ...] = (PocketSpec(), OracleSpec(), StableDiffusionSpec(), SDXLSpec())


def chosen(spec: GuidanceSpec, **choices: object) -> OptimizeConfig:
    return resolve(RunChoices(**choices), spec)[1].optimize  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("timesteps", SCHEDULES)
def test_each_loss_goes_with_each_model_and_schedule(
    spec: GuidanceSpec, loss: DistillationName, timesteps: TimestepName
) -> None:
    if loss == "rfds":
        with pytest.raises(ConfigError, match="rfds is for models that say velocities"):
            chosen(spec, distillation=loss, timesteps=timesteps)
        return
    found = chosen(spec, distillation=loss, timesteps=timesteps)
    assert found.distillation.kind == loss
    assert found.distillation.timestep == timesteps_named(timesteps)
    several = has_image_target(found.distillation)
    assert found.updates == (preset_settings("standard", spec).optimize.updates if several else 1)


@pytest.mark.parametrize("name", REGULATIONS)
def test_each_regulation_by_its_name(name: RegulationName) -> None:
    found = chosen(SDXLSpec(), regulation=name).regulation
    assert found == regulation_named(name)


def test_the_presets_threshold_goes_with_its_loss() -> None:
    preset = preset_settings("standard", PocketSpec()).optimize.regulation
    assert isinstance(preset, PixelwiseClippingConfig)
    assert chosen(PocketSpec(), regulation="pgc").regulation == preset
    assert chosen(PocketSpec(), regulation="pgc", clip_threshold=0.7).regulation == PixelwiseClippingConfig(
        threshold=0.7
    )


def test_a_loss_of_another_kind_does_not_inherit_the_scale_of_score_distillation() -> None:
    hifa = chosen(SDXLSpec(), distillation="hifa").distillation
    assert isinstance(hifa, HiFAConfig)
    assert hifa.guidance_scale == HiFAConfig().guidance_scale < 20
    sds = chosen(SDXLSpec()).distillation
    assert isinstance(sds, SDSConfig)
    assert sds.guidance_scale == 100.0
    assert chosen(SDXLSpec(), distillation="hifa", guidance_scale=30.0).distillation.guidance_scale == 30.0


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"regulation": "none", "clip_threshold": 0.1}, "--clip is given (0.1), but the regulation none has no such"),
        ({"regulation": "pgc-v", "clip_norm": "l2"}, "--clip-norm is given (l2), but the regulation pgc-v"),
        ({"clip_quantile": 0.5}, "--clip-quantile is given (0.5), but the regulation PixelwiseClipping"),
        ({"regulation": "adaptive", "clip_threshold": 0.1}, "--clip is given (0.1), but the regulation adaptive"),
        ({"distillation": "sds", "latent_weight": 1.0}, "--latent-weight is given (1.0), but the loss SDS"),
        ({"noise": "surface", "distillation": "ism"}, "distillation.noise is of the surface, but ISM draws no noise"),
        (
            {"weighting": "constant"},
            "--weighting is given (constant), but it is about the gradient through the encoder",
        ),
        ({"weighting": "sigma_squared", "distillation": "hifa"}, "give --latent-weight as well, or leave it away"),
        ({"encoder_gradient": "linear"}, "--encoder-gradient is given (linear), but it is about the gradient through"),
        ({"distillation": "csd", "guidance_rescale": 0.5}, "CSD has no guided prediction"),
        ({"latent_weight": -1.0}, "latent_weight is -1.0; it must be 0 or more"),
        ({"guidance_rescale": 1.5}, "guidance_rescale is 1.5; it must be 1 or less"),
        ({"depth_scale": 2.5}, "depth_scale is 2.5; it must be 2 or less"),
        ({"depth": False, "depth_scale": 1.0}, "depth_scale is 1.0, but depth is left out"),
        ({"clip_threshold": 0.0}, "regulation.threshold is 0.0; it must be above 0"),
    ],
)
def test_what_contradicts_is_refused_by_name(choices: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        chosen(PocketSpec(), **choices)


def test_depth_is_refused_where_nothing_looks_at_it() -> None:
    with pytest.raises(ConfigError, match="the oracle looks at no depth"):
        chosen(OracleSpec(), depth_scale=0.5)
    with pytest.raises(ConfigError, match="has no depth ControlNet"):
        chosen(SDXLSpec(controlnet=None), depth_scale=0.5)


def test_the_quantile_and_the_weight_arrive() -> None:
    assert chosen(SDXLSpec(), regulation="adaptive", clip_quantile=0.8, clip_norm="linf").regulation == (
        AdaptiveClippingConfig(quantile=0.8, norm="linf")
    )
    found = chosen(PocketSpec(), latent_weight=0.25, timesteps="uniform").distillation
    assert isinstance(found, HiFAConfig)
    assert (found.latent_weight, found.timestep) == (0.25, UniformTimestepConfig())


def test_noise_and_weighting_arrive() -> None:
    found = chosen(SDXLSpec(), noise="surface", weighting="constant").distillation
    assert (found.noise, found.weighting) == (SurfaceNoiseConfig(), WeightingConfig(kind="constant"))
    own = chosen(PocketSpec(), latent_weight=0.5, weighting="constant").distillation
    assert own.weighting == WeightingConfig(kind="constant")


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("distillation", LOSSES),
        ("regulation", REGULATIONS),
        ("timesteps", SCHEDULES),
        ("clip_norm", ("l2", "linf")),
        ("rig", get_args(RigName)),
        ("noise", get_args(NoiseName)),
        ("weighting", get_args(WeightingName)),
    ],
)
def test_help_names_all_of_them_and_another_word_is_refused(choice: str, names: tuple[str, ...]) -> None:
    offer = choices_offered()[choice]
    assert offer.read is not None
    for name in names:
        assert offer.read(name) == name
        assert re.search(rf"\b{re.escape(name)}\b", offer.help), f"--help does not say {name}"
    with pytest.raises(ConfigError, match=f"is 'nothing'; expected one of {names[0]}"):
        offer.read("nothing")
