# SPDX-License-Identifier: Apache-2.0
from dataclasses import fields, replace

import pytest

from pgc.errors import ConfigError
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClippingConfig
from pgc.gradient_regulation.unregulated import UnregulatedConfig
from pgc.guidance.specs import OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.lighting.explained.explaining import ExplainedLightConfig
from pgc.runs.settings.choices import PRESETS, RunChoices, choices_offered
from pgc.runs.settings.offers import read_regulation
from pgc.runs.settings.presets import explicit_choices, lit_prior, preset_settings, resolve, with_maps

SPECS = (PocketSpec(), OracleSpec(), StableDiffusionSpec(), SDXLSpec())


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)
@pytest.mark.parametrize("preset", PRESETS)
def test_where_nothing_else_is_chosen_the_preset_says_all(spec, preset):
    cold = RunChoices(preset=preset, warm_start=False)
    assert resolve(cold, spec) == (spec, preset_settings(preset, spec))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)
def test_maps_that_need_light_bring_it(spec):
    maps = ("metallic", "occlusion")
    expected = with_maps(preset_settings("standard", spec), spec, maps)
    assert resolve(RunChoices(maps=maps, warm_start=False), spec) == (lit_prior(spec), expected)


@pytest.mark.parametrize("name", [name for name, offer in choices_offered().items() if offer.least is not None])
def test_numbers_below_their_range_are_refused_by_name(name):
    least = choices_offered()[name].least
    assert getattr(RunChoices(**{name: least}), name) == least
    with pytest.raises(ConfigError, match=f"^{name} is {least - 1}; it must be {least:g} or more.$"):
        RunChoices(**{name: least - 1})
    most = choices_offered()[name].most
    if most is not None:
        assert getattr(RunChoices(**{name: most}), name) == most
        with pytest.raises(ConfigError, match=f"^{name} is {most + 1}; it must be {most:g} or less.$"):
            RunChoices(**{name: most + 1})


def test_what_was_resolved_can_be_chosen_again_number_by_number():
    choices = RunChoices(preset="fine", maps=("normal",), seed=4, separate_slots=True, guidance_scale=3.0)
    prior, settings = resolve(choices, PocketSpec())
    explicit = explicit_choices(choices, settings)
    assert (explicit.steps, explicit.views, explicit.resolution, explicit.texture_size) == (200, 2, 128, 512)
    assert explicit.maps == ("base_color", "roughness", "normal")
    assert resolve(explicit, PocketSpec()) == (prior, settings)


def test_regulation_and_depth_are_chosen():
    plain = resolve(RunChoices(regulation="none"), SDXLSpec())[1].optimize.regulation
    assert plain == UnregulatedConfig()
    clipped = resolve(RunChoices(clip_threshold=0.3, clip_norm="linf"), SDXLSpec())[1].optimize.regulation
    assert clipped == PixelwiseClippingConfig(threshold=0.3, norm="linf")
    assert resolve(RunChoices(depth=False), SDXLSpec())[0].controlnet is None
    assert resolve(RunChoices(depth=False), PocketSpec())[0].run.control_scale == 0.0
    assert resolve(RunChoices(depth_scale=0.25), SDXLSpec())[0].run.control_scale == 0.25


def test_every_choice_changes_what_a_run_gets():
    """A field that nothing reads would be a choice that is dropped in silence."""
    changes = {
        **{"preset": "draft", "steps": 7, "views": 3, "resolution": 32, "texture_size": 64, "seed": 1},
        **{"maps": ("base_color", "roughness", "normal"), "separate_slots": True, "guidance_scale": 2.0},
        **{"distillation": "sds", "regulation": "none", "clip_threshold": 0.5, "clip_norm": "linf"},
        **{"guidance_rescale": 0.5, "timesteps": "dreamtime", "latent_weight": 0.5, "clip_quantile": 0.5},
        **{"noise": "surface", "weighting": "constant", "encoder_gradient": "linear", "rig": "paper", "strength": 0.5},
        **{"controls": ("depth=0.5@0-0.5",), "control_models": {"normal": "me/mine"}, "reference_scale": 0.5},
        **{"texture_field": "hashgrid", "loras": {"a.safetensors": 1.0}, "embeddings": {"a.safetensors": "moss"}},
        **{"ip_adapter": "a.safetensors", "reference_by": "ip-adapter", "mask_start": "anew", "soft_edge": 8},
        **{
            "warm_start": False,
            "depth": False,
            "depth_scale": 0.5,
            "rotate_light": False,
            "exposure": 0.25,
            "environments": ("sky",),
            "explain_light": True,
        },
    }
    assert changes.keys() == {item.name for item in fields(RunChoices)}
    usual = resolve(RunChoices(maps=("roughness",)), PocketSpec())
    for name, value in changes.items():
        chosen = {"maps": ("roughness",), name: value}
        if name == "clip_quantile":
            # Of one regulation alone.
            usual = resolve(RunChoices(maps=("roughness",), regulation="adaptive"), PocketSpec())
            chosen["regulation"] = "adaptive"
        if name in ("texture_field", "warm_start"):
            # Of base colour alone.
            usual, chosen = resolve(RunChoices(), PocketSpec()), {name: value}
        if name in ("weighting", "encoder_gradient"):
            # Of the gradient through the encoder.
            usual = resolve(RunChoices(maps=("roughness",), latent_weight=0.5), PocketSpec())
            chosen["latent_weight"] = 0.5
        if name == "control_models":
            chosen["controls"] = ("depth=1",)
        if name in (
            "explain_light",
            "control_models",
            "reference_scale",
            "loras",
            "embeddings",
            "ip_adapter",
            "reference_by",
        ):
            # Refused by this model, or by these maps: not dropped.
            with pytest.raises(ConfigError):
                resolve(RunChoices(**chosen), PocketSpec())
            continue
        assert resolve(RunChoices(**chosen), PocketSpec()) != usual, name


def test_light_is_explained_where_a_model_is_not_told_it():
    lit = RunChoices(maps=("roughness",), explain_light=True)
    assert resolve(lit, SDXLSpec())[1].optimize.explained_light == ExplainedLightConfig()
    assert resolve(replace(lit, explain_light=False), SDXLSpec()) == resolve(
        replace(lit, explain_light=None), SDXLSpec()
    )
    with pytest.raises(ConfigError, match="not told the light, as this one is"):
        resolve(lit, PocketSpec())
    with pytest.raises(ConfigError, match="base colour alone is shown without light"):
        resolve(replace(lit, maps=("base_color",)), SDXLSpec())


def test_a_texture_of_latents_is_refused_with_its_reason() -> None:
    for name in ("latent", "latent-texture"):
        with pytest.raises(ConfigError, match=r"is in pgc playground alone, since a decoder reads pictures"):
            read_regulation(name)
    assert read_regulation("pngd") == "pngd"
