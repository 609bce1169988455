# SPDX-License-Identifier: Apache-2.0
import pytest

from pgc.errors import ConfigError
from pgc.guidance.specs import OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.runs.settings.choices import PRESETS
from pgc.runs.settings.presets import preset_settings, with_maps, with_overrides, with_separate_slots

SPECS = [PocketSpec(), OracleSpec(), StableDiffusionSpec(), SDXLSpec()]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)
def test_presets_differ_in_steps_alone(spec):
    draft, standard, fine = (preset_settings(name, spec) for name in PRESETS)
    assert draft.optimize.steps < standard.optimize.steps < fine.optimize.steps
    assert with_overrides(draft, steps=standard.optimize.steps) == standard


def test_stable_diffusion_gets_the_papers_distillation():
    settings = preset_settings("standard", SDXLSpec()).optimize
    assert (settings.steps, settings.resolution, settings.distillation.guidance_scale) == (2800, 1024, 100.0)
    assert preset_settings("standard", StableDiffusionSpec()).optimize.resolution == 512


def test_only_what_is_given_is_replaced():
    settings = preset_settings("standard", PocketSpec())
    assert with_overrides(settings) == settings
    changed = with_overrides(settings, views=7, resolution=32, seed=9)
    assert (changed.optimize.views, changed.optimize.resolution, changed.optimize.seed) == (7, 32, 9)
    assert changed.optimize.steps == settings.optimize.steps
    assert changed.texture == settings.texture


def test_a_small_texture_lowers_the_levels_that_would_not_fit():
    texture = with_overrides(preset_settings("standard", PocketSpec()), texture_size=16).texture
    assert texture.texture_size == 16
    assert texture.start_size == 16


@pytest.mark.parametrize("change", [{"steps": 0}, {"views": 0}, {"resolution": 0}, {"seed": -1}, {"texture_size": 100}])
def test_impossible_values_are_refused(change):
    with pytest.raises(ConfigError):
        with_overrides(preset_settings("standard", PocketSpec()), **change)


def test_separate_slots_open_seams_and_hold_finishes_together():
    spec = PocketSpec()
    plain = preset_settings("standard", spec)
    unlit = with_separate_slots(plain)
    assert (plain.texture.seams.across_slots, unlit.texture.seams.across_slots) == (True, False)
    assert unlit.material is None
    lit = with_maps(plain, spec, ("metallic",))
    separate = with_separate_slots(lit)
    assert lit.material is not None
    assert separate.material is not None
    assert not separate.texture.seams.across_slots
    assert lit.material.priors.regions == 0.0 < separate.material.priors.regions
    assert with_separate_slots(separate) == separate
