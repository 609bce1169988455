# SPDX-License-Identifier: Apache-2.0
"""From a picture of an object to an object: the loop's part, teachers of Zero123's kind, and the command."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from typer.testing import CliRunner

from pgc.cli import app
from pgc.commands.shapes.image import _given
from pgc.errors import CheckpointError, ConfigError
from pgc.gradient_regulation.build import build_regulation
from pgc.guidance.base import Conditions
from pgc.guidance.diffusion.zero123.loading import load_zero123
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.guidance.specs import PocketSpec
from pgc.images.cutout import Cutout, cut_out, read_cutout
from pgc.mesh import load_mesh, prepare_mesh
from pgc.optimization.config import Prompt
from pgc.optimization.stopwatch import Stopwatch
from pgc.shape.geometry.dmtet import DMTetConfig
from pgc.shape.geometry.vertex_offsets import VertexOffsetsConfig
from pgc.shape.picture import (
    DISTANCE,
    FOCAL,
    GivenPicture,
    PictureOfObject,
    ball,
    picture_settings,
    reference_view,
    turned,
)
from pgc.shape.prepared import prepare_shape
from pgc.shape.runner import ShapeHooks, ShapeRequest, refine_shape
from tests.benchmarks.picture import PictureBenchmark, ViewOracle, known_object, photograph, run_one
from tests.pgc.guidance.zero123_models import write_zero123

CPU = torch.device("cpu")


def half_disc(side=64) -> Cutout:
    """A red half disc: what is right of the middle is missing, so that left and right are told apart."""
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    covered = ((np.hypot(x, y) < 0.4 * side) & (x < 0)).astype(np.float32)
    color = torch.tensor([0.8, 0.2, 0.1])[None, :, None, None].expand(1, 3, side, side).contiguous()
    return Cutout(color=color, covered=torch.from_numpy(covered)[None, None], is_cut=False)


def begin(guidance=None, config=None, **changes):
    settings = picture_settings(DMTetConfig(cubes=10), Zero123Spec())
    optimize = replace(settings.optimize, **{"steps": 4, "views": 1, "resolution": 32, **changes})
    view = reference_view(half_disc(), 32, config or PictureOfObject())
    given = guidance or OracleGuidance(OracleConfig(image_size=32), CPU)
    return prepare_shape(ball(2), given, Prompt(text=""), replace(settings, optimize=optimize), reference_view=view)


def test_the_ball_is_closed_and_fills_the_space():
    mesh = ball(2)
    assert len(mesh.polygon_sizes) == 8 * 4**2
    assert np.allclose(np.linalg.norm(mesh.positions, axis=1), 0.8)
    # Its UVs serve as they are, so that nothing is unwrapped.
    prepared = prepare_mesh(mesh)
    assert not prepared.report.warnings
    assert np.shares_memory(prepared.mesh.uvs, mesh.uvs)
    corners = mesh.positions[mesh.corner_positions.reshape(-1, 3)]
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((outward * corners.mean(axis=1)).sum(axis=1) > 0).all()


def test_a_run_begins_as_the_outline_turned_round():
    view = reference_view(half_disc(), 64, PictureOfObject())
    mesh = turned(view, sections=12, rows=10)
    prepared = prepare_mesh(mesh)
    assert not prepared.report.warnings
    found = trimesh.Trimesh(prepared.triangles.positions, prepared.triangles.faces, process=False)
    assert found.is_watertight
    assert found.volume > 0
    # As high as the picture's frame has it: three quarters; and as wide as the half disc, around the vertical.
    frame = DISTANCE / FOCAL
    low, high = mesh.positions.min(axis=0), mesh.positions.max(axis=0)
    assert (high - low)[2] == pytest.approx(0.75 * frame, rel=0.05)
    assert (high - low)[:2] == pytest.approx(np.full(2, 0.375 * frame), rel=0.1)
    assert (low + high)[:2] == pytest.approx(np.zeros(2), abs=1e-6)
    pole = mesh.positions[mesh.corner_positions[0]]
    assert pole.tolist() == pytest.approx([0.0, 0.0, high[2]])


def outline(covered: np.ndarray):
    """A view of an object of one colour, cut out by its transparency."""
    return reference_view(
        cut_out(np.dstack([np.full((*covered.shape, 3), 90, np.uint8), covered])), 64, PictureOfObject()
    )


def test_thin_bars_are_turned_round_too():
    bars = np.zeros((640, 640), np.uint8)
    bars[40:600, 40:600:24] = 255
    view = outline(bars)
    assert view.covered.max() < 0.5
    mesh = turned(view, sections=12, rows=10)
    frame = DISTANCE / FOCAL
    assert np.ptp(mesh.positions, axis=0) == pytest.approx(np.full(3, 0.75 * frame), rel=0.1)


def test_two_parts_one_above_the_other_are_turned_round_where_they_are():
    # A wide one in the upper sixth, and a narrow one in the lower third.
    parts = np.zeros((400, 400), np.uint8)
    parts[50:100, 150:250], parts[250:350, 190:210] = 255, 255
    mesh = turned(outline(parts), sections=12, rows=60)
    height, radius = mesh.positions[:, 2], np.hypot(mesh.positions[:, 0], mesh.positions[:, 1])
    frame = DISTANCE / FOCAL * 0.75
    share = (height.max() - height) / frame
    assert radius[(share > 0.02) & (share < 0.15)] == pytest.approx(100 / 300 * frame / 2, rel=0.05)
    # Half way down what is empty, half way from the one to the other.
    assert radius[(share > 0.4) & (share < 0.433)] == pytest.approx(60 / 300 * frame / 2, rel=0.05)
    assert radius[(share > 0.7) & (share < 0.98)] == pytest.approx(20 / 300 * frame / 2, rel=0.3)


def test_a_teacher_is_shown_the_picture_finer_than_a_coarse_run_renders(tmp_path):
    photograph(known_object("box"), tmp_path / "box.png", side=64)
    config = PictureOfObject()
    sides = {side: _given(tmp_path / "box.png", config, side).view.on_white.shape[-1] for side in (64, 300)}
    assert sides == {64: 256, 300: 300}


def test_what_was_ignored_in_the_picture_and_what_is_cut_is_said(tmp_path):
    pixels = np.full((40, 40, 3), 255, np.uint8)
    pixels[10:30, 20:] = (200, 30, 20)
    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "print.jpg")
    notes = _given(tmp_path / "print.jpg", PictureOfObject(), 32).notes
    assert "print.jpg is CMYK" in notes[0]
    assert "reaches the border" in notes[1]


def test_the_pictures_camera_stands_in_front_and_as_high_as_is_said():
    view = reference_view(half_disc(), 32, PictureOfObject(elevation_deg=30.0))
    assert view.camera.position.tolist() == pytest.approx([0.0, -DISTANCE * 0.75**0.5, DISTANCE / 2], abs=1e-5)
    with pytest.raises(ConfigError, match="elevation is 89"):
        PictureOfObject(elevation_deg=89.0)
    with pytest.raises(ConfigError, match="color_weight is -1"):
        reference_view(half_disc(), 32, PictureOfObject(color_weight=-1.0))


@pytest.mark.slow
def test_a_picture_that_is_known_is_compared_and_not_asked_about():
    run = begin(config=PictureOfObject(color_weight=1.0, mask_weight=1.0))
    subject = run.loop.subject
    view = subject.draw(0, 0)
    pictures = subject.pictures(view, Stopwatch(CPU))
    assert [one.name for one in pictures] == ["rgb", "reference", "reference mask"]
    assert [one.target is None for one in pictures] == [True, False, False]
    for known in pictures[1:]:
        heard = run.loop._hear(known, Stopwatch(CPU))
        assert heard.feedback is None
        assert torch.allclose(heard.gradient, known.target_weight * (known.image - known.target).detach())
        # Not clipped, although it is larger than what clipping would leave.
        clipped = build_regulation(run.loop.config.regulation).regulate(heard.gradient, known.view.covered)
        assert not torch.allclose(clipped, heard.gradient)
        assert torch.equal(run.loop._regulated(heard), heard.gradient)
    # Colours count where the picture shows the object; what is beyond it is the outline's affair.
    beyond = pictures[2].target < 1e-6
    assert torch.equal(pictures[1].target[beyond], pictures[1].image.detach()[beyond])
    assert (pictures[1].target - pictures[1].image)[~beyond].abs().max() > 0.1
    heights = pictures[2].target[0, 0].sum(dim=0)
    seen = heights[heights > 0.5]
    # Round on the left, straight on the right.
    assert seen[0] < 0.7 * seen[-1]


@pytest.mark.slow
def test_halves_of_weight_nothing_are_not_rendered():
    run = begin(config=PictureOfObject(color_weight=0.0))
    names = [one.name for one in run.loop.subject.pictures(run.loop.subject.draw(0, 0), Stopwatch(CPU))]
    assert names == ["rgb", "reference mask"]


@pytest.mark.slow
def test_a_teacher_of_views_is_told_picture_and_cameras_and_others_are_not():
    told: list[Conditions] = []

    class Listening(ViewOracle):
        def predict_noise(self, noisy_latents, timestep, conditions):
            told.append(conditions)
            return super().predict_noise(noisy_latents, timestep, conditions)

    run = begin(Listening(known_object("box"), 32))
    run.loop.advance()
    run.loop.advance()
    own = run.scene.reference_view
    assert own is not None
    assert all(one.reference is own.on_white for one in told)
    position = told[0].reference_to_world[:3, 3].numpy()
    assert np.allclose(position, own.camera.position, atol=1e-6)
    plain = begin()
    subject = plain.loop.subject
    (first, *_) = subject.pictures(subject.draw(0, 0), Stopwatch(CPU))
    assert subject.conditions(first, None, step=0, progress=0.0).reference is None


@pytest.mark.slow
def test_the_way_from_a_picture_to_an_object(tmp_path):
    small = PictureBenchmark(steps=20, views=2, resolution=40, cubes=12)
    found = {}
    for turns in (1.0, -1.0):
        row, _ = run_one(small, "bumps", "both", 0, tmp_path, turns=turns)
        found[turns] = row["after"]["chamfer"]
    assert found[1.0] < 0.6 * row["before"]["chamfer"]
    # A teacher that counts azimuths the other way shows another object: the signs matter.
    assert found[1.0] < 0.8 * found[-1.0]


@pytest.fixture(scope="module")
def object_png(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "box.png"
    photograph(known_object("box"), path, side=64)
    return path


@pytest.mark.slow
def test_the_command_runs_on_a_zero123_of_the_true_format(object_png, tmp_path):
    model = write_zero123(tmp_path / "zero123")
    out = tmp_path / "out"
    arguments = [
        "image", str(object_png), "--guidance", str(model), "--out", str(out), "--steps", "3", "--views", "1",
        "--resolution", "32", "--cubes", "8", "--elevation", "20",
    ]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    report = json.loads((out / "run.json").read_text())
    assert report["picture"]["file"] == "box.png"
    assert report["picture"]["taken"]["elevation_deg"] == 20.0
    assert report["mesh"]["file"] == "turned outline"
    assert report["steps_done"] == 3
    assert load_mesh(out / "shape.glb").colors is not None


@pytest.mark.slow
def test_three_steps_of_a_tiny_zero123_are_finite_and_move_the_shape(tmp_path):
    guidance = load_zero123(Zero123Spec(source=str(write_zero123(tmp_path / "zero123"))), CPU)
    run = begin(guidance, steps=3, views=2)
    before = [parameter.detach().clone() for parameter in run.scene.geometry.parameters()]
    for result in run.loop.steps():
        assert torch.isfinite(result.image_gradient).all()
        assert result.image_gradient[:2].abs().max() > 0
        assert len(result.timesteps) == 2
    after = list(run.scene.geometry.parameters())
    assert all(torch.isfinite(parameter).all() for parameter in after)
    assert any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


def refusal(*arguments) -> str:
    result = CliRunner().invoke(app, ["image", *map(str, arguments)])
    assert result.exit_code == 2
    return " ".join(result.output.split())


def test_what_cannot_be_is_said_before_work_begins(object_png, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("pgc.guidance.models.is_installed", lambda *given, **named: False)
    assert "Zero123-XL is not whole on this machine" in (said := refusal(object_png))
    assert "pgc models pull zero123" in said
    assert "Zero123 reads none" in refusal(object_png, "--prompt", "a box")
    monkeypatch.undo()
    assert "say with --prompt what the object is" in refusal(object_png, "--guidance", "pocket")
    assert "say with --prompt what the object is" in refusal(object_png, "--guidance", "pocket", "--prompt", " ")
    pocket = ("--guidance", "pocket", "--prompt", "a red box")
    assert "There is no file" in refusal(tmp_path / "none.png", *pocket)
    assert "There is no file" in refusal(object_png, "--from", tmp_path / "none.obj", *pocket)
    assert "offsets have no grid" in refusal(object_png, "--from", object_png, "--cubes", 8, *pocket)
    busy = tmp_path / "busy.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(busy)
    assert "no plain background" in refusal(busy, *pocket)


def test_a_prior_that_reads_has_the_settings_of_its_shape_runs():
    settings = picture_settings(VertexOffsetsConfig(), PocketSpec())
    assert settings.shown == ("rgb",)
    assert settings.pictures.ambient == 1.0
    assert settings.optimize.background.random


def test_a_box_of_paper_is_cut_out_of_its_photograph(object_png):
    found = read_cutout(object_png)
    assert 0.2 < found.covered.mean() < 0.8
    assert not found.is_cut


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_with_the_same_picture_alone(object_png, tmp_path):
    config = PictureOfObject(elevation_deg=20.0)
    settings = picture_settings(DMTetConfig(cubes=8), Zero123Spec())
    optimize = replace(settings.optimize, steps=3, views=1, resolution=24)
    view = reference_view(read_cutout(object_png), 24, config)
    given = GivenPicture(path=object_png, config=config, view=view)
    request = ShapeRequest(
        mesh=None, prompt=Prompt(text=""), settings=replace(settings, optimize=optimize), picture=given
    )
    oracle = ViewOracle(known_object("box"), 24)
    stopped = ShapeHooks(should_stop=lambda: True)
    assert not refine_shape(request, oracle, tmp_path, stopped, checkpoints="write")
    other = replace(request, picture=replace(given, config=PictureOfObject(elevation_deg=10.0)))
    with pytest.raises(CheckpointError, match="another mesh, prompt, model or choice"):
        refine_shape(other, oracle, tmp_path, ShapeHooks(), checkpoints="resume")
    steps = []
    assert refine_shape(request, oracle, tmp_path, ShapeHooks(on_step=steps.append), checkpoints="resume")
    assert [result.step for result in steps] == [2, 3]
