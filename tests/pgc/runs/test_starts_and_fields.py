# SPDX-License-Identifier: Apache-2.0
"""What a run starts from and what it optimises: each does what it says, and what cannot go together is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pgc.errors import ConfigError, TextureError
from pgc.guidance.specs import PocketSpec
from pgc.runs.arguments import TextureArguments
from pgc.runs.request import load_prepared, load_sources
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import preset_settings, resolve
from pgc.texture.hash_grid import HashGridTextureConfig
from tests.pgc.baking.test_vertex_colors import square


def test_vertex_colours_are_what_a_run_starts_from(tmp_path: Path) -> None:
    given = TextureArguments(mesh=str(square(tmp_path)), prompt="red", start="vertex-colors", texture_size=32)
    request = given.to_request()
    mesh = load_prepared(request, lambda stage, fraction: None)
    initial = load_sources(request, mesh).initial
    assert initial is not None
    assert initial.size == 32
    assert float(initial.maps["base_color"][0].std()) > 0.1
    plain = replace(request, start=None)
    assert load_sources(plain, mesh).initial is None
    assert plain.fingerprint() != request.fingerprint()


def test_a_mesh_without_colours_is_refused(cube_obj: Path) -> None:
    request = TextureArguments(mesh=str(cube_obj), prompt="red", start="vertex-colors").to_request()
    mesh = load_prepared(request, lambda stage, fraction: None)
    with pytest.raises(TextureError, match="has no vertex colours to start from"):
        load_sources(request, mesh)


def test_the_hash_grid_brings_its_rates_and_keeps_the_size() -> None:
    settings = resolve(RunChoices(texture_field="hashgrid", texture_size=128, seed=3), PocketSpec())[1]
    assert isinstance(settings.texture, HashGridTextureConfig)
    assert (settings.texture.texture_size, settings.texture.seed) == (128, 3)
    optimize = settings.optimize
    assert (optimize.learning_rate, optimize.final_learning_rate, optimize.epsilon) == (0.01, 1.0, 1e-15)
    plain = RunChoices(texture_field="texels", warm_start=False)
    assert resolve(plain, PocketSpec())[1] == preset_settings("standard", PocketSpec())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"start": "colours"}, "--start is 'colours'; expected one of vertex-colors"),
        ({"start": "vertex-colors", "init_texture": "a.png", "texture_size": 32}, "--init-texture an image; give one"),
        ({"start": "vertex-colors", "texture_field": "hashgrid"}, "A hash grid starts from nothing"),
        ({"texture_field": "hashgrid", "maps": ("normal",)}, "The hash grid has base colour alone, and not roughness"),
    ],
)
def test_what_cannot_go_together_is_refused_by_name(given: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        TextureArguments(mesh="mesh.obj", prompt="red", **given).to_request()  # type: ignore[arg-type]
