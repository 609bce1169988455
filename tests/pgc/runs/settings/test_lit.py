# SPDX-License-Identifier: Apache-2.0
"""Settings of lit runs, and the settings of a run for the maps that are wanted."""

import json
from dataclasses import replace

import pytest
import torch

from pgc.errors import ConfigError
from pgc.guidance.specs import GuidanceSpec, OracleSpec, PocketSpec, SDXLSpec
from pgc.maps import MAP_NAMES
from pgc.pocket import takes_shading
from pgc.runs.settings.lit import MaterialConfig, run_environments
from pgc.runs.settings.presets import lit_prior, preset_settings, with_maps
from pgc.texture.texel_config import MapSettings

SPECS = [PocketSpec(), OracleSpec(), SDXLSpec()]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"drawn": -1}, "expected 0 to 64"),
        ({"drawn": 65}, "expected 0 to 64"),
        ({"environments": (), "drawn": 0}, "no environment to light"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        MaterialConfig(**changes)


@pytest.mark.slow
def test_environments_are_the_named_and_the_drawn_ones():
    config = MaterialConfig(environments=("studio",), drawn=2)
    first, second = (run_environments(config, torch.device("cpu")) for _ in range(2))
    assert [one.name for one in first] == ["studio", "random", "random"]
    assert all(torch.equal(a.atlas, b.atlas) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[1].atlas, first[2].atlas)


@pytest.mark.parametrize("spec", SPECS)
def test_base_color_alone_changes_no_setting(spec):
    settings = preset_settings("standard", spec)
    assert with_maps(settings, spec, ("base_color",)) == settings
    beside = with_maps(settings, spec, ("base_color", "occlusion"))
    assert beside.material is None
    assert beside.optimize == settings.optimize
    assert with_maps(beside, spec, ("base_color",)) == settings


@pytest.mark.parametrize("spec", SPECS)
def test_what_is_not_wanted_is_not_optimised(spec):
    settings = preset_settings("standard", spec)
    rough = with_maps(settings, spec, ("roughness",))
    assert rough.maps == ("base_color", "roughness")
    assert rough.material is not None
    assert (rough.material.fields.with_metallic, rough.material.fields.with_normal) == (False, False)
    every = with_maps(rough, spec, MAP_NAMES)
    assert every.material is not None
    assert (every.material.fields.with_metallic, every.material.fields.with_normal) == (True, True)
    assert every.texture == settings.texture


def test_maps_and_settings_must_agree():
    settings = preset_settings("standard", OracleSpec())
    lit = with_maps(settings, OracleSpec(), ("normal", "occlusion"))
    with pytest.raises(ConfigError, match="expected"):
        replace(settings, maps=("metallic",))
    with pytest.raises(ConfigError, match="material's settings"):
        replace(lit, material=None)
    with pytest.raises(ConfigError, match="material's settings"):
        replace(settings, maps=("base_color", "roughness"))
    with pytest.raises(ConfigError, match="occlusion's settings"):
        replace(lit, occlusion=None)


def test_weights_that_are_told_the_light_may_find_metal(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, channels in ((first, 3), (second, 12)):
        (folder / "controlnet").mkdir(parents=True)
        (folder / "controlnet" / "config.json").write_text(json.dumps({"conditioning_channels": channels}))
    assert [takes_shading(folder) for folder in (first, second, tmp_path)] == [False, True, False]

    def metallic(spec: GuidanceSpec) -> MapSettings:
        material = with_maps(preset_settings("standard", spec), spec, ("metallic",)).material
        assert material is not None
        return material.fields.metallic

    untold, told = (metallic(PocketSpec(source=str(folder))) for folder in (first, second))
    assert told.initial > untold.initial
    assert told.rate > untold.rate
    assert metallic(SDXLSpec()) == untold


def test_the_pocket_prior_is_told_that_there_is_light():
    assert lit_prior(PocketSpec()) == PocketSpec(prompt_suffix=", soft lighting")
    assert lit_prior(PocketSpec(prompt_suffix=", mine")).prompt_suffix == ", mine"
    assert lit_prior(SDXLSpec()) == SDXLSpec()
