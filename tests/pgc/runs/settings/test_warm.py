# SPDX-License-Identifier: Apache-2.0
"""Which runs begin with a warm start, and what is left for distillation then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgc.distillation.timestep import AnnealedTimestepConfig, UniformTimestepConfig
from pgc.errors import ConfigError
from pgc.guidance.specs import (
    FluxSpec,
    GuidanceSpec,
    OracleSpec,
    PocketSpec,
    SD3Spec,
    SDXLSpec,
    StableDiffusionSpec,
    ZImageSpec,
)
from pgc.optimization.config import OptimizeConfig
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import preset_settings, resolve


def optimize(spec: GuidanceSpec, **choices: object) -> OptimizeConfig:
    return resolve(RunChoices(**choices), spec)[1].optimize  # pyright: ignore[reportArgumentType]


def test_every_prior_but_the_oracle_begins_warm() -> None:
    warm = optimize(PocketSpec())
    assert warm.warm_start is not None
    assert (warm.warm_start.steps, warm.steps, warm.learning_rate) == (6, 70, 0.03)
    assert warm.warm_start.focal == pytest.approx(1.475)
    assert optimize(OracleSpec()).warm_start is None
    assert optimize(OracleSpec(), warm_start=True).warm_start is not None
    for spec in (StableDiffusionSpec(), SDXLSpec()):
        assert optimize(spec, warm_start=False).warm_start is None
        asked = optimize(spec)
        assert asked.warm_start is not None
        assert asked.steps == min(150, preset_settings("standard", spec).optimize.steps)
        assert asked.distillation.timestep == UniformTimestepConfig(minimum=0.02, maximum=0.3)
    # What serves SDS burns samples; models that were distilled need no guidance for them.
    for spec, scale in ((SD3Spec(), 4.5), (FluxSpec(), 1.0), (ZImageSpec(), 4.0), (StableDiffusionSpec(), 7.0)):
        begun = optimize(spec)
        assert begun.warm_start is not None
        assert begun.warm_start.guidance_scale == scale
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
        {"texture_field": "hashgrid"},
        {"distillation": "sds"},
        {"latent_weight": 0.5},
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


def test_with_light_colour_goes_slowly_and_all_else_as_fast_as_without() -> None:
    maps = ("roughness", "metallic", "normal")
    (_, cold), (_, warm) = (resolve(RunChoices(maps=maps, warm_start=choice), PocketSpec()) for choice in (False, None))
    assert (cold.optimize.steps, warm.optimize.steps) == (170, 100)
    assert cold.material is not None
    assert warm.material is not None
    for name in ("roughness", "metallic", "slope"):
        before, after = getattr(cold.material.fields, name), getattr(warm.material.fields, name)
        assert after.rate * warm.optimize.learning_rate == pytest.approx(before.rate * cold.optimize.learning_rate)
        assert replace(after, rate=before.rate) == before
    assert warm.material.fields.base_color == cold.material.fields.base_color
    assert warm.optimize.learning_rate < cold.optimize.learning_rate
    assert optimize(SDXLSpec(), maps=maps).steps == 300


def test_with_light_more_noise_decides() -> None:
    plain, lit, half = (
        optimize(PocketSpec(), **choices).distillation.timestep
        for choices in ({}, {"maps": ("roughness",)}, {"maps": ("roughness",), "strength": 0.5, "warm_start": True})
    )
    assert (plain.start, plain.end) == (0.5, 0.12)
    assert (lit.start, lit.end) == (0.7, 0.15)
    assert half.start == pytest.approx(0.35)


def test_what_is_on_the_mesh_takes_no_more_steps_than_a_warm_start_leaves() -> None:
    for spec, maps, steps in (
        (SDXLSpec(), ("base_color",), 75),
        (StableDiffusionSpec(), ("roughness",), 150),
        (PocketSpec(), ("base_color",), 85),
    ):
        assert optimize(spec, strength=0.5, maps=maps).steps == steps
    assert optimize(SDXLSpec(), strength=0.5, preset="fine").steps == 150
    assert optimize(SDXLSpec(), strength=0.5, distillation="vsd").steps == 1400
    assert optimize(SDXLSpec(), strength=0.5, steps=9).steps == 9


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


def test_a_warm_start_where_there_can_be_none_is_refused() -> None:
    choices: dict[str, object] = {"texture_field": "hashgrid"}
    with pytest.raises(ConfigError, match="the hash grid has none"):
        optimize(PocketSpec(), warm_start=True, **choices)
