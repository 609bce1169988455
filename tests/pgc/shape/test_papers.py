# SPDX-License-Identifier: Apache-2.0
"""Published shape runs: each takes three steps on tiny models of the true formats, and is what its README says."""

from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from pgc.cli import app
from pgc.commands.shapes.shape import _chosen
from pgc.errors import ConfigError
from pgc.guidance.diffusion.zero123.loading import load_zero123
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import PocketSpec, SD3Spec, SDXLSpec, StableDiffusionSpec, load_guidance, parse_guidance
from pgc.images.cutout import read_cutout
from pgc.optimization.config import Prompt
from pgc.shape.geometry.vertex_offsets import VertexOffsetsConfig
from pgc.shape.papers import SHAPE_PAPER_NAMES, SHAPE_PAPERS, paper_prior, picture_paper, shape_paper
from pgc.shape.picture import ball, reference_view
from pgc.shape.prepared import PreparedShape, prepare_shape
from tests.benchmarks.picture import known_object, photograph
from tests.pgc.guidance.conftest import write_model
from tests.pgc.guidance.zero123_models import write_zero123

CPU = torch.device("cpu")
MODELS = ("sd15", "sd21", "sdxl")


@pytest.fixture(scope="module")
def priors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    kinds = {"sd15": (False, "epsilon"), "sd21": (False, "v_prediction"), "sdxl": (True, "epsilon")}
    return {
        name: parse_guidance(str(write_model(folder / name, xl=xl, prediction_type=predicts)))
        for name, (xl, predicts) in kinds.items()
    }


def tiny(settings):
    optimize = replace(settings.optimize, steps=3, views=1, resolution=32)
    return replace(settings, optimize=optimize, geometry=replace(settings.geometry, cubes=8))


def runs_three_steps(run: PreparedShape, pictures: int) -> None:
    before = [parameter.detach().clone() for parameter in run.scene.geometry.parameters()]
    asked = 0.0
    for result in run.loop.steps():
        assert len(result.image) == pictures
        assert torch.isfinite(result.image).all()
        assert torch.isfinite(result.image_gradient).all()
        asked += result.image_gradient.abs().amax(dim=(1, 2, 3))
    assert (asked > 0).all()
    after = list(run.scene.geometry.parameters())
    assert all(torch.isfinite(parameter).all() for parameter in after)
    assert any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", SHAPE_PAPER_NAMES)
def test_every_preset_takes_three_steps_on_every_model(priors, name, model):
    paper = SHAPE_PAPERS[name]
    spec = paper_prior(paper, priors[model])
    assert (spec.controlnet is None) != paper.depth
    guidance = load_guidance(spec, CPU)
    run = prepare_shape(ball(2), guidance, Prompt(text="a stone"), tiny(paper.settings))
    runs_three_steps(run, len(paper.settings.shown))


@pytest.mark.slow
def test_the_preset_of_a_picture_takes_three_steps_of_zero123(tmp_path):
    photograph(known_object("box"), tmp_path / "box.png", side=64)
    guidance = load_zero123(Zero123Spec(source=str(write_zero123(tmp_path / "zero123"))), CPU)
    settings, taken = picture_paper()
    view = reference_view(read_cutout(tmp_path / "box.png"), 32, taken)
    runs_three_steps(prepare_shape(ball(2), guidance, Prompt(text=""), tiny(settings), reference_view=view), 2)


def test_presets_say_what_their_readme_says():
    normal, both, rgb = (SHAPE_PAPERS[f"pgc3d/{name}"] for name in ("normal-sds", "normal-rgb-sds", "rgb-sds"))
    assert normal.settings.shown == ("normal",)
    assert not normal.depth
    assert SHAPE_PAPERS["pgc3d/normal-sds-depth"] == replace(
        normal, title=normal.title + " --guidance controlnet", depth=True
    )
    assert (both.settings.shown, rgb.settings.shown) == (("normal", "rgb"), ("rgb",))
    # Twice the steps at half the views; scales 50 and 100 on top of the prediction; a twentieth of the shape's rate.
    assert both.settings.optimize.steps == 2 * normal.settings.optimize.steps
    assert 2 * both.settings.optimize.views == normal.settings.optimize.views
    assert normal.settings.normal_loss.guidance_scale == 51.0
    assert both.settings.optimize.distillation.guidance_scale == 101.0
    assert rgb.settings.optimize.learning_rate == pytest.approx(normal.settings.optimize.learning_rate / 20)
    geometry, slow = normal.settings.geometry, rgb.settings.geometry
    assert slow.color_rate * rgb.settings.optimize.learning_rate == pytest.approx(
        geometry.color_rate * normal.settings.optimize.learning_rate
    )


def test_colours_of_another_geometry_learn_as_fast():
    settings = _chosen(None, "offsets", None, "pgc3d/rgb-sds", "sdxl")[1]
    assert isinstance(settings.geometry, VertexOffsetsConfig)
    assert settings.geometry.color_rate == SHAPE_PAPERS["pgc3d/rgb-sds"].settings.geometry.color_rate == 40.0


def test_a_preset_that_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="--preset is 'pgc3d/pbr'; expected one of pgc3d/normal-sds"):
        shape_paper("pgc3d/pbr")
    depth, normal = SHAPE_PAPERS["pgc3d/rgb-sds"], SHAPE_PAPERS["pgc3d/normal-sds"]
    with pytest.raises(ConfigError, match="never seen a picture of normals"):
        paper_prior(normal, PocketSpec())
    for spec in (PocketSpec(), SD3Spec()):
        with pytest.raises(ConfigError, match=r"for Stable Diffusion 1\.5, 2\.1 and XL"):
            paper_prior(depth, spec)
    with pytest.raises(ConfigError, match="the model has none"):
        paper_prior(depth, SDXLSpec(controlnet=None))
    assert paper_prior(normal, StableDiffusionSpec()).controlnet is None


def refusal(*arguments) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 2
    return " ".join(result.output.split())


def test_the_commands_say_what_does_not_go_with_a_preset_or_a_control(tmp_path, priors):
    mesh, picture = tmp_path / "box.obj", tmp_path / "box.png"
    mesh.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    photograph(known_object("box"), picture, side=32)
    shape = ("shape", mesh, "--prompt", "a stone", "--guidance", priors["sd15"].source)
    said = refusal(*shape, "--preset", "pgc3d/rgb-sds", "--loss", "both")
    assert "--loss is both, but pgc3d/rgb-sds says itself" in said
    assert "--control lists none" in refusal(*shape, "--control-model", "normal=somewhere")
    assert "a shape run is given none" in refusal(*shape, "--control", "depth,shuffle")
    assert "is shown depth alone" in refusal("shape", mesh, "--prompt", "a stone", "--control", "normal")
    zero123 = write_zero123(tmp_path / "zero123")
    image = ("image", picture, "--guidance", zero123)
    assert "give --from MESH" in refusal(*image, "--preset", "pgc3d/image")
    assert "expected pgc3d/image" in refusal(*image, "--preset", "draft")
    pocket = ("image", picture, "--guidance", "pocket", "--prompt", "a box", "--from", mesh)
    assert "give a Zero123" in refusal(*pocket, "--preset", "pgc3d/image")


@pytest.mark.slow
def test_a_normal_controlnet_is_shown_the_held_mesh(tmp_path):
    folder = write_model(tmp_path / "model", xl=False)
    (folder / "controlnet").rename(folder / "controlnet_normal")
    mesh = tmp_path / "box.obj"
    import trimesh

    trimesh.creation.box((1.0, 2.0, 3.0)).export(mesh)
    arguments = [
        "shape", str(mesh), "--prompt", "a stone", "--guidance", str(folder), "--control", "normal=0.5", "--hold",
        "--steps", "2", "--views", "1", "--resolution", "32", "--out", str(tmp_path / "out"), "--loss", "normal",
    ]  # fmt: skip
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    report = (tmp_path / "out" / "run.json").read_text()
    assert '"normal"' in report
    assert "controlnet_normal" in report
