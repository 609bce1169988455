# SPDX-License-Identifier: Apache-2.0
"""The front is to look like a picture: where its camera stands, what is compared, and that a run gets there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pgc.errors import ConfigError, TextureError
from pgc.guidance.specs import load_guidance
from pgc.optimization.config import OptimizeConfig
from pgc.optimization.stopwatch import Stopwatch
from pgc.optimization.views.front_view import seen_of
from pgc.remote.job import check_remote_arguments
from pgc.runs.arguments import TextureArguments
from pgc.runs.prepared import start_optimization
from pgc.runs.request import load_prepared, load_sources
from pgc.runs.sources.pictures import read_front_view


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """Left half green, right half blue."""
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, :16, 1] = pixels[:, 16:, 2] = 255
    Image.fromarray(pixels).save(tmp_path / "halves.png")
    return tmp_path / "halves.png"


@pytest.mark.slow
def test_the_front_becomes_the_picture_where_the_mesh_is(cube_obj: Path, red_texture: Path, halves: Path) -> None:
    given = TextureArguments(
        mesh=str(cube_obj),
        prompt="x",
        guidance="oracle",
        oracle_texture=str(red_texture),
        reference=str(halves),
        reference_by="view",
        reference_scale=2.0,
        steps=20,
        views=1,
        resolution=32,
        texture_size=32,
    )
    request = given.to_request()
    assert (request.settings.optimize.front_scale, request.settings.optimize.likeness_scale) == (2.0, 0.0)
    mesh = load_prepared(request, lambda stage, fraction: None)
    sources = load_sources(request, mesh)
    guidance = load_guidance(request.guidance, torch.device("cpu"))
    run = start_optimization(mesh, request.prompt, request.settings, guidance, sources=sources)
    view = run.views.draw(0, 0)
    main, front = run.views.pictures(view, Stopwatch(guidance.device))
    assert (main.target, front.target_weight) == (None, 2.0)
    target = front.target
    assert target is not None
    covered = front.view.covered.expand(-1, 3, -1, -1)
    assert 0.2 < float(covered.float().mean()) < 0.9
    assert torch.equal(target[~covered], front.image.detach()[~covered]), "beyond the mesh nothing is compared"
    eye = front.view.cameras[0].position
    assert eye[1] < -1.0 < 1.0 > abs(float(eye[0])), "before the front, -Y"
    assert run.regulation_summary()["gradients"][-1] == "front view, not regulated"

    def distance() -> float:
        shown = run.views.pictures(view, Stopwatch(guidance.device))[1]
        return float((shown.image.detach() - target)[covered].abs().mean())

    before = distance()
    seen = list(run.steps())
    both, of_main = (
        int(part.sum()) for part in (torch.cat([main.view.covered, front.view.covered]), main.view.covered)
    )
    assert len(seen[0].image) == 2
    assert seen[0].gradient.pixels == of_main < both, "what is not regulated is not counted as left alone"
    assert distance() < 0.6 * before


def test_what_is_transparent_or_beyond_the_picture_is_not_compared(tmp_path: Path) -> None:
    """A picture of 60 x 30 pixels: its left half shows red, its right half hides blue."""
    pixels = np.zeros((30, 60, 4), np.uint8)
    pixels[:, :30] = (255, 0, 0, 255)
    pixels[:, 30:] = (0, 0, 255, 40)
    Image.fromarray(pixels).save(tmp_path / "half.png")
    side = 32
    wanted = read_front_view(tmp_path / "half.png", 2 * side)
    assert wanted.shape == (1, 4, 60, 60), "not stretched, nor larger than it is"
    assert read_front_view(tmp_path / "half.png", side).shape == (1, 4, side, side)
    colors, opaque = seen_of(wanted, side)
    assert opaque[0, 0, 8:24, :16].all()
    assert int(opaque.sum()) == 16 * 16
    assert torch.allclose(colors[0, :, 8:24, :16], torch.tensor([1.0, 0.0, 0.0])[:, None, None], atol=0.04), (
        "little blue"
    )
    pixels[..., 3] = 0
    Image.fromarray(pixels).save(tmp_path / "half.png")
    with pytest.raises(TextureError, match="All of the picture is transparent"):
        read_front_view(tmp_path / "half.png", side)


def test_runs_without_it_are_those_of_before() -> None:
    config = OptimizeConfig()
    assert "front_scale" not in config.known_settings()
    assert replace(config, front_scale=0.5).fingerprint() != config.fingerprint()
    with pytest.raises(ConfigError, match=r"front_scale is -1"):
        replace(config, front_scale=-1.0)


def test_what_it_does_not_go_with_is_refused(cube_obj: Path, halves: Path) -> None:
    given = TextureArguments(mesh=str(cube_obj), prompt="x", reference=str(halves), reference_by="view")
    with pytest.raises(ConfigError, match="light would tint"):
        replace(given, maps=("roughness",)).to_request()
    with pytest.raises(ConfigError, match="but no --reference"):
        replace(given, reference=None).to_request()
    with pytest.raises(ConfigError, match="--reference-by view: no server takes it yet"):
        check_remote_arguments(given)
