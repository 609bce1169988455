# SPDX-License-Identifier: Apache-2.0
"""A volume from a picture: its own view is compared, Zero123 judges the others."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from pgc.cli import app
from pgc.errors import ConfigError
from pgc.guidance.diffusion.zero123.loading import load_zero123
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import PocketSpec
from pgc.images.cutout import read_cutout
from pgc.mesh import load_mesh
from pgc.optimization.config import Prompt
from pgc.optimization.stopwatch import Stopwatch
from pgc.shape.picture import GivenPicture, PictureOfObject, reference_view
from pgc.volume.field import VolumeFieldConfig
from pgc.volume.picture import picture_volume_settings
from pgc.volume.prepared import prepare_volume
from pgc.volume.runner import VolumeHooks, VolumeRequest, check_request, imagine
from tests.benchmarks.picture import ViewOracle, known_object, photograph
from tests.pgc.guidance.zero123_models import write_zero123
from tests.pgc.volume.test_volume_runs import tiny

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "box.png"
    photograph(known_object("box"), path, side=64)
    config = PictureOfObject(elevation_deg=20.0)
    return GivenPicture(path=path, config=config, view=reference_view(read_cutout(path), 16, config))


@pytest.mark.slow
def test_three_steps_of_zero123_end_in_a_mesh(given, tmp_path):
    spec = Zero123Spec(source=str(write_zero123(tmp_path / "zero123")))
    settings = tiny(picture_volume_settings(spec, ""))
    moved = shutil.copy(given.path, tmp_path)
    picture = replace(given, path=Path(moved))
    request = VolumeRequest(prompt=Prompt(text=""), settings=settings, prior=spec, texture=None, picture=picture)
    seen = []

    def follow(result):
        """The picture is needed at the beginning alone."""
        picture.path.unlink(missing_ok=True)
        seen.append(result)

    (tmp_path / "out").mkdir()
    assert imagine(request, load_zero123(spec, CPU), tmp_path / "out", VolumeHooks(on_step=follow))
    for result in seen:
        assert len(result.image) == 3
        assert torch.isfinite(result.image_gradient).all()
        assert (result.image_gradient.abs().amax(dim=(1, 2, 3)) > 0).all()
    report = json.loads((tmp_path / "out" / "run.json").read_text())
    assert report["picture"]["file"] == "box.png"
    assert load_mesh(tmp_path / "out" / "volume.glb").has_uvs


def test_the_pictures_view_is_compared_and_told(given):
    oracle = ViewOracle(known_object("box"), 16)
    settings = tiny(picture_volume_settings(Zero123Spec(), ""))
    run = prepare_volume(oracle, Prompt(text=""), settings, reference_view=given.view)
    subject = run.loop.subject
    view = subject.draw(0, 0)
    asked, color, mask = subject.pictures(view, Stopwatch(CPU))
    assert (asked.target, color.name, mask.name) == (None, "reference", "reference mask")
    assert mask.view.cameras == [given.view.camera]
    assert torch.allclose(color.target.amin(), given.view.on_white.amin(), atol=0.1)
    told = subject.conditions(asked, None, step=0, progress=0.0)
    assert told.reference is given.view.on_white
    # White, as in the model's training.
    assert (view.background == 1.0).all()


@pytest.mark.slow
def test_the_volume_comes_nearer_to_the_picture(given):
    oracle = ViewOracle(known_object("box"), 16)
    settings = tiny(picture_volume_settings(Zero123Spec(), ""))
    field = VolumeFieldConfig(grid_levels=4, coarsest_cells=4, finest_cells=16, rows=4096, hidden=8)
    settings = replace(settings, volume=replace(settings.volume, field=field))
    optimize = replace(settings.optimize, steps=40, learning_rate=0.05, epsilon=1e-8)
    run = prepare_volume(oracle, Prompt(text=""), replace(settings, optimize=optimize), reference_view=given.view)

    def wrong() -> float:
        """Mean difference of what is covered, from the picture's camera."""
        with torch.no_grad():
            return (run.scene.volume.look([given.view.camera], 16).opacity - given.view.covered).abs().mean().item()

    before = wrong()
    for _ in run.loop.steps():
        pass
    assert wrong() < 0.85 * before


def test_what_cannot_be_is_refused(given):
    settings = tiny(picture_volume_settings(Zero123Spec(), ""))
    request = VolumeRequest(prompt=Prompt(text=""), settings=settings, prior=Zero123Spec(), texture=None)
    with pytest.raises(ConfigError, match="needs a picture of the object"):
        check_request(request)
    read = replace(request, prior=PocketSpec(), picture=given)
    with pytest.raises(ConfigError, match="The prompt is empty"):
        check_request(read)
    pocket = ["image", str(given.path), "--guidance", "pocket", "--prompt", "a box", "--volume", "--cubes", "8"]
    result = CliRunner().invoke(app, pocket)
    assert result.exit_code == 2
    assert "--volume begins as a ball and has no --cubes" in " ".join(result.output.split())
