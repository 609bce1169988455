# SPDX-License-Identifier: Apache-2.0
"""Which runs begin with a warm start, and what is left for distillation then."""

from __future__ import annotations

import pytest

from pgc.distillation.timestep import AnnealedTimestepConfig, UniformTimestepConfig
from pgc.errors import ConfigError
from pgc.guidance.specs import GuidanceSpec, OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.optimization.config import OptimizeConfig
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import preset_settings, resolve


def optimize(spec: GuidanceSpec, **choices: object) -> OptimizeConfig:
    return resolve(RunChoices(**choices), spec)[1].optimize  # pyright: ignore[reportArgumentType]


def test_the_built_in_prior_begins_warm_and_others_where_it_is_asked_for() -> None:
    warm = optimize(PocketSpec())
    assert warm.warm_start is not None
    assert (warm.warm_start.steps, warm.steps, warm.learning_rate) == (6, 70, 0.03)
    assert warm.warm_start.focal == pytest.approx(1.475)
    for spec in (OracleSpec(), StableDiffusionSpec(), SDXLSpec()):
        assert optimize(spec).warm_start is None
        asked = optimize(spec, warm_start=True)
        assert asked.warm_start is not None
        assert asked.steps == min(150, preset_settings("standard", spec).optimize.steps)
        assert asked.distillation.timestep == UniformTimestepConfig(minimum=0.02, maximum=0.3)
    # What serves SDS burns samples.
    asked = optimize(SDXLSpec(), warm_start=True, guidance_scale=80.0)
    assert asked.warm_start is not None
    assert (asked.warm_start.guidance_scale, asked.distillation.guidance_scale) == (7.0, 80.0)
    own = optimize(PocketSpec(), guidance_scale=9.0)
    assert own.warm_start is not None
    assert own.warm_start.guidance_scale == 9.0


@pytest.mark.parametrize(
    "choices",
    [
        {"warm_start": False},
        {"maps": ("roughness",)},
        {"texture_field": "hashgrid"},
        {"distillation": "sds"},
        {"timesteps": "linear"},
        {"noise": "surface"},
        {"preset": "pgc/paper"},
        # Something of a start texture is to stay as sharp as it is.
        {"strength": 0.99},
        {"strength": 0.01},
    ],
)
def test_a_chosen_method_is_seen_as_it_is(choices: dict[str, object]) -> None:
    assert optimize(PocketSpec(), **choices).warm_start is None


def test_explicit_numbers_stay_and_presets_scale() -> None:
    assert optimize(PocketSpec(), steps=7).steps == 7
    assert optimize(PocketSpec(), preset="draft").steps == 35
    assert optimize(PocketSpec(), preset="fine").steps == 140
    named = optimize(PocketSpec(), warm_start=True, timesteps="linear")
    assert isinstance(named.distillation.timestep, AnnealedTimestepConfig)
    assert named.distillation.timestep.start == 0.98


def test_strength_takes_noise_and_steps_away() -> None:
    half = optimize(PocketSpec(), warm_start=True, strength=0.5)
    assert half.warm_start is not None
    assert half.warm_start.most_noise == pytest.approx(0.495)
    assert (half.warm_start.steps, half.steps) == (3, 35)
    assert isinstance(half.distillation.timestep, AnnealedTimestepConfig)
    assert half.distillation.timestep.start == pytest.approx(0.25)
    least = optimize(PocketSpec(), warm_start=True, strength=0.01)
    assert least.warm_start is not None
    assert (least.warm_start.steps, least.steps) == (1, 1)
    assert optimize(PocketSpec(), strength=1.0) == optimize(PocketSpec())


def test_close_ups_are_painted_with_the_lens_of_the_views_around() -> None:
    near = optimize(PocketSpec(), rig="close-ups")
    assert near.warm_start == optimize(PocketSpec()).warm_start


@pytest.mark.parametrize(
    ("choices", "says"),
    [({"texture_field": "hashgrid"}, "the hash grid has none"), ({"maps": ("normal",)}, "base colour alone")],
)
def test_a_warm_start_where_there_can_be_none_is_refused(choices: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        optimize(PocketSpec(), warm_start=True, **choices)
