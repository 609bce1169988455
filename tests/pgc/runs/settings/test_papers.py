# SPDX-License-Identifier: Apache-2.0
"""Published runs by their names: what they set, what wins over them, and which is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgc.cameras.sampling import PaperSamplerConfig
from pgc.cameras.staged import StagedSamplerConfig
from pgc.distillation.csd import CSDConfig
from pgc.distillation.sds import SDSConfig
from pgc.distillation.vsd import VSDConfig
from pgc.errors import ConfigError
from pgc.gradient_regulation.adaptive_clipping import AdaptiveClippingConfig
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClippingConfig
from pgc.guidance.specs import PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.runs.arguments import TextureArguments
from pgc.runs.request import TextureRequest
from pgc.runs.settings.choices import PAPER_NAMES, choices_offered
from pgc.runs.settings.papers import PAPERS


def asked(**given: object) -> TextureRequest:
    return TextureArguments(mesh="mesh.obj", prompt="red", **given).to_request()  # type: ignore[arg-type]


def test_the_papers_run() -> None:
    request = asked(preset="pgc/paper")
    optimize = request.settings.optimize
    assert isinstance(request.guidance, SDXLSpec)
    assert optimize.distillation == SDSConfig(guidance_scale=100.0)
    assert optimize.regulation == PixelwiseClippingConfig(threshold=0.1, norm="l2")
    assert (optimize.steps, optimize.views, optimize.resolution) == (1200, 4, 1024)
    assert request.settings.cameras == PaperSamplerConfig()


def test_the_readmes_commands() -> None:
    depth = asked(preset="pgc3d/sdxl-depth").settings.optimize
    assert isinstance(depth.distillation, SDSConfig)
    assert depth.distillation.guidance_scale == 101.0, "the official 100 adds to the prediction"
    assert depth.regulation == PixelwiseClippingConfig(threshold=0.1, norm="linf")
    assert depth.steps == 2800
    pbr = asked(preset="pgc3d/pbr").settings
    assert pbr.maps == ("base_color", "roughness", "normal")
    assert pbr.material is not None
    assert pbr.material.environments == ("sky",)
    assert not pbr.material.lighting.rotate
    vsd = asked(preset="pgc3d/vsd")
    assert isinstance(vsd.guidance, SDXLSpec)
    assert vsd.guidance.controlnet is None
    assert isinstance(vsd.settings.optimize.distillation, VSDConfig)
    assert (vsd.settings.optimize.steps, vsd.settings.optimize.views) == (5600, 2)
    csd = asked(preset="pgc3d/csd").settings.optimize.distillation
    assert isinstance(csd, CSDConfig)
    assert csd.guidance_scale == 1.0
    sd = asked(preset="pgc3d/sd-depth")
    assert isinstance(sd.guidance, StableDiffusionSpec)
    assert sd.settings.cameras == StagedSamplerConfig()


def test_the_readmes_shuffle_asks_for_a_reference() -> None:
    with pytest.raises(ConfigError, match="--reference"):
        asked(preset="pgc3d/sd-depth-shuffle")
    found = asked(preset="pgc3d/sd-depth-shuffle", reference="picture.png").guidance
    assert isinstance(found, StableDiffusionSpec)
    wishes = {control.wish.kind: control.wish.scale for control in found.controls}
    assert wishes | {"depth": found.run.control_scale} == {"depth": 0.7, "shuffle": 0.3}


def test_controls_that_are_given_go_before_the_published_depth() -> None:
    found = asked(preset="pgc3d/sd-depth", controls=("normal=0.5",)).guidance
    assert isinstance(found, StableDiffusionSpec)
    assert found.controlnet is None, "what the list does not name is not shown"
    assert [control.wish.kind for control in found.controls] == ["normal"]
    alone = asked(preset="pgc3d/sd-depth-shuffle", depth_scale=0.9).guidance
    assert isinstance(alone, StableDiffusionSpec)
    assert alone.controls == ()
    assert alone.run.control_scale == 0.9


def test_every_name_has_its_run_and_is_in_the_help() -> None:
    assert set(PAPERS) == set(PAPER_NAMES)
    offer = choices_offered()["preset"]
    assert offer.read is not None
    for name in PAPER_NAMES:
        assert offer.read(name) == name
        assert name in offer.help


def test_what_is_given_wins() -> None:
    found = asked(preset="pgc3d/sdxl-depth", steps=7, guidance="pocket", clip_threshold=0.5, rig="sphere")
    assert isinstance(found.guidance, PocketSpec)
    assert found.settings.optimize.steps == 7
    assert found.settings.optimize.regulation == PixelwiseClippingConfig(threshold=0.5, norm="linf")
    adaptive = asked(preset="pgc3d/sdxl-depth", regulation="adaptive").settings.optimize.regulation
    assert adaptive == AdaptiveClippingConfig(), "the published threshold went with the published regulation"
    csd = asked(preset="pgc3d/sdxl-depth", distillation="csd").settings.optimize.distillation
    assert csd == CSDConfig(), "and its scale with its loss"
    assert asked(preset="pgc3d/sdxl-depth", depth=False).guidance.controlnet is None


def test_what_goes_to_a_report_or_a_server_is_spelled_out(tmp_path: Path) -> None:
    given = TextureArguments(mesh="mesh.obj", prompt="red", preset="pgc3d/csd").expanded()
    assert (given.preset, given.guidance, given.distillation, given.steps) == (None, "sdxl", "csd", 2800)
    assert given.expanded() == given
    assert given.to_request() == asked(preset="pgc3d/csd")
    plain = TextureArguments(mesh="mesh.obj", prompt="red", preset="draft")
    assert plain.expanded() == plain
