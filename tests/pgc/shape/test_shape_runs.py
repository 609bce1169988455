# SPDX-License-Identifier: Apache-2.0
"""Whole shape runs: published models in the small, the command, and what is refused."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from typer.testing import CliRunner

from pgc.cli import app
from pgc.distillation.sds import SDSConfig
from pgc.errors import CheckpointError, ConfigError, MeshError
from pgc.guidance.control_specs import ControlSpec, ControlWish
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.guidance.specs import OracleSpec, PocketSpec, load_guidance, parse_guidance
from pgc.mesh import load_mesh, prepare_mesh
from pgc.optimization.config import Prompt
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.runs.checkpoint import save_checkpoint
from pgc.runs.memory.fitting import PriorSource
from pgc.runs.report import FORMAT
from pgc.shape.geometry.dmtet import DMTetConfig
from pgc.shape.outcome import check_spared
from pgc.shape.prepared import PreparedShape, geometry_of, prepare_shape, shaped_mesh
from pgc.shape.resuming import mark_of, saved_by, told_by_versions
from pgc.shape.run.pictures import PictureConfig
from pgc.shape.runner import ShapeHooks, ShapeRequest, refine_shape
from pgc.shape.settings import SHAPE_LOSSES, ShapeSettings, check_hold, geometry_named, shape_settings
from tests.pgc.guidance.conftest import write_model

FAR = (1000.0, -500.0, 20.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {xl: write_model(folder / f"xl-{xl}", xl=xl) for xl in (False, True)}


@pytest.fixture(scope="module")
def blockout(tmp_path_factory) -> Path:
    """A box of quads with UVs, far from the origin, and a vertex that no face uses."""
    path = tmp_path_factory.mktemp("mesh") / "box.obj"
    corners = trimesh.creation.box((1.0, 2.0, 3.0)).vertices + FAR
    lines = [f"v {x} {y} {z}" for x, y, z in [*corners, (7.0, 8.0, 9.0)]]
    quads = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]
    for number, quad in enumerate(quads):
        left, low = number % 3 / 3, number // 3 / 2
        places = [(0.01, 0.01), (0.3, 0.01), (0.3, 0.45), (0.01, 0.45)]
        lines += [f"vt {left + u} {low + v}" for u, v in places]
        lines.append("f " + " ".join(f"{corner}/{4 * number + at + 1}" for at, corner in enumerate(quad)))
    path.write_text("\n".join(lines) + "\n")
    return path


def tiny(settings: ShapeSettings, **changes) -> ShapeSettings:
    optimize = replace(settings.optimize, steps=3, views=1, resolution=32, **changes)
    return replace(settings, optimize=optimize)


@pytest.mark.slow
@pytest.mark.parametrize("loss", SHAPE_LOSSES)
@pytest.mark.parametrize("xl", [False, True])
def test_every_preset_runs_three_steps_on_a_model_of_the_true_format(models, blockout, tmp_path, xl, loss):
    spec = parse_guidance(str(models[xl]))
    geometry = geometry_named("dmtet", cubes=8) if loss == "both" else geometry_named("offsets")
    settings = replace(tiny(shape_settings(loss, geometry, spec)), hold=xl)
    if loss != "both":
        settings = replace(settings, subdivide=2)
    if loss != "rgb":
        # One step of Fantasia3D's early phase.
        settings = replace(settings, pictures=replace(settings.pictures, latents_until=0.3))
    given = hashlib.sha256(blockout.read_bytes()).hexdigest()
    request = ShapeRequest(mesh=blockout, prompt=Prompt(text="a stone"), settings=settings)
    seen = []
    guidance = load_guidance(spec, torch.device("cpu"))
    assert refine_shape(request, guidance, tmp_path, ShapeHooks(on_step=seen.append))
    assert [result.image.shape[0] for result in seen] == [len(SHAPE_LOSSES[loss])] * 3
    assert all(torch.isfinite(result.image_gradient).all() for result in seen)
    assert [result.image_gradient.shape[1] for result in seen] == [3 if loss == "rgb" else 4, 3, 3]
    assert any(result.image_gradient.abs().max() > 0 for result in seen)
    made = load_mesh(tmp_path / "shape.glb")
    assert made.has_uvs
    assert np.isfinite(made.positions).all()
    assert hashlib.sha256(blockout.read_bytes()).hexdigest() == given
    report = json.loads((tmp_path / "run.json").read_text())
    assert (report["state"], report["steps_done"], report["mesh"]["sha256"]) == ("finished", 3, given)
    assert report["settings"]["shown"] == list(SHAPE_LOSSES[loss])
    assert report["versions"]["torch"] == torch.__version__
    assert all(
        hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == sha for name, sha in report["files"].items()
    )


@pytest.mark.slow
def test_memory_that_ends_costs_views_and_not_the_run_which_goes_on_by_that_plan(blockout, tmp_path, monkeypatch):
    advance = DistillationLoop.advance

    def step(self):
        if self.config.views > 1 and self.step == 1:
            raise torch.OutOfMemoryError
        return advance(self)

    monkeypatch.setattr(DistillationLoop, "advance", step)
    settings = replace(tiny(ShapeSettings(), distillation=SDSConfig(guidance_scale=1.0)), subdivide=1)
    settings = replace(settings, optimize=replace(settings.optimize, views=2))
    request = ShapeRequest(mesh=blockout, prompt=Prompt(text="a box"), settings=settings, prior=OracleSpec())
    loaded, seen, notes = [], [], []

    def load(spec):
        loaded.append(spec)
        return KnowsGray(OracleConfig(), torch.device("cpu"))

    prior = PriorSource(device=torch.device("cpu"), load=load)
    hooks = ShapeHooks(on_step=lambda result: seen.append(result.step), on_note=notes.append)
    stopping = replace(hooks, should_stop=lambda: len(seen) == 2)
    assert not refine_shape(request, prior, tmp_path, stopping, checkpoints="write")
    assert (seen, len(loaded)) == ([1, 2], 2)
    (note,) = (one for one in notes if "ran out of memory" in one)
    report = json.loads((tmp_path / "run.json").read_text())
    assert note in report["warnings"]
    assert (report["memory_plan"]["views"], report["settings"]["optimize"]["views"]) == (1, 2)
    assert refine_shape(request, prior, tmp_path, hooks, checkpoints="resume")
    assert (seen, len(loaded)) == ([1, 2, 3], 3), "it begins with the plan that fits"


class KnowsGray(OracleGuidance):
    """An oracle of a gray thing, which needs no known shape."""

    def predict_noise(self, noisy_latents, timestep, conditions):
        truth = torch.full((len(noisy_latents), 3, 32, 32), 0.5)
        return super().predict_noise(noisy_latents, timestep, replace(conditions, truth_image=truth))


@pytest.mark.slow
def test_the_command_writes_a_new_mesh_of_the_same_topology(models, blockout, tmp_path):
    given = blockout.read_bytes()
    more = ["--guidance", str(models[False]), "--steps", "2", "--views", "1", "--resolution", "32", "--loss", "normal"]
    done = CliRunner().invoke(app, ["shape", str(blockout), "--prompt", "a stone", "--out", str(tmp_path), *more])
    assert done.exit_code == 0, done.output
    assert "--subdivide 4" in done.output
    assert blockout.read_bytes() == given
    before, after = load_mesh(blockout), load_mesh(tmp_path / "shape.obj")
    assert np.array_equal(before.polygon_sizes, after.polygon_sizes)
    assert np.array_equal(before.corner_positions, after.corner_positions)
    assert np.array_equal(before.uvs[before.corner_uvs], after.uvs[after.corner_uvs])
    assert np.array_equal(before.positions[8], after.positions[8])
    moved = np.linalg.norm(before.positions[:8] - after.positions[:8], axis=1)
    assert 0.0 < moved.max() < 1.0


@pytest.mark.slow
def test_a_run_that_is_stopped_leaves_the_shape_of_then(models, blockout, tmp_path):
    spec = parse_guidance(str(models[False]))
    settings = tiny(shape_settings("rgb", geometry_named("offsets"), spec))
    request = ShapeRequest(mesh=blockout, prompt=Prompt(text="a stone"), settings=settings)
    guidance = load_guidance(spec, torch.device("cpu"))
    assert not refine_shape(request, guidance, tmp_path, ShapeHooks(should_stop=lambda: True))
    assert json.loads((tmp_path / "run.json").read_text())["state"] == "interrupted"
    assert load_mesh(tmp_path / "shape.obj").colors is not None


@pytest.mark.slow
def test_a_run_that_replaces_another_leaves_nothing_of_it_and_one_that_fails_leaves_it(models, blockout, tmp_path):
    more = ["--prompt", "a stone", "--out", str(tmp_path / "out"), "--overwrite", "--guidance", str(models[False])]
    small = ["--steps", "1", "--views", "1", "--resolution", "32"]
    files = {"shape.glb", "shape.obj", "shape.mtl", "preview.png", "run.json"}
    for seed in "12":
        done = CliRunner().invoke(app, ["shape", str(blockout), *more, *small, "--seed", seed])
        assert done.exit_code == 0, done.output
        assert {path.name for path in (tmp_path / "out").iterdir()} == files
    before = {name: (tmp_path / "out" / name).read_bytes() for name in files}
    broken = tmp_path / "broken.obj"
    broken.write_text("nothing")
    assert CliRunner().invoke(app, ["shape", str(broken), *more, *small]).exit_code == 2
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    report = json.loads(before["run.json"])
    assert report["seed"] == 2
    assert report["prior"]["type"] == "StableDiffusionSpec"


def test_a_mesh_of_the_folder_is_spared_through_links_and_beside_an_earlier_run(tmp_path):
    folder, link = tmp_path / "out", tmp_path / "box.obj"
    folder.mkdir()
    for name in ("shape.obj", "textured.glb", "box.obj"):
        (folder / name).touch()
    link.symlink_to(folder / "shape.obj")
    (folder / "run.json").write_text(json.dumps({"format": FORMAT, "files": {"textured.glb": ""}}))
    for mesh in (link, folder / "textured.glb"):
        with pytest.raises(ConfigError, match="would replace"):
            check_spared(mesh, folder)
    check_spared(folder / "box.obj", folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "faces", [[[0, 1, 2]], [[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]]], ids=["open", "inside out"]
)
def test_a_grid_cannot_begin_in_a_mesh_without_an_inside(tmp_path, faces):
    corners = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    trimesh.Trimesh(corners, faces, process=False).export(tmp_path / "mesh.obj")
    triangles = prepare_mesh(load_mesh(tmp_path / "mesh.obj")).triangles
    with pytest.raises(MeshError, match="open, inside out"):
        geometry_of(triangles, DMTetConfig(cubes=8), torch.device("cpu"))


def test_a_shape_that_nobody_changed_is_the_one_that_was_given(blockout):
    prepared = prepare_mesh(load_mesh(blockout))
    geometry = geometry_of(prepared.triangles, geometry_named("offsets"), torch.device("cpu"))
    same = shaped_mesh(prepared, geometry, colored=False)
    np.testing.assert_allclose(same.positions, prepared.mesh.positions, atol=1e-5)


def test_a_grid_begins_as_the_mesh_where_it_stands(blockout):
    prepared = prepare_mesh(load_mesh(blockout))
    geometry = geometry_of(prepared.triangles, DMTetConfig(cubes=24), torch.device("cpu"))
    found = shaped_mesh(prepared, geometry, colored=True)
    drawn = trimesh.Trimesh(found.positions, found.corner_positions.reshape(-1, 3), process=False)
    assert drawn.is_watertight
    assert drawn.volume == pytest.approx(6.0, rel=0.1)
    np.testing.assert_allclose(drawn.bounds.mean(axis=0), FAR, atol=0.05)


def test_what_cannot_be_is_refused_in_a_sentence(blockout, tmp_path):
    with pytest.raises(ConfigError, match="never seen a picture of normals"):
        shape_settings("both", geometry_named("offsets"), PocketSpec())
    with pytest.raises(ConfigError, match="--loss is 'depth'; expected one of normal, rgb, both"):
        shape_settings("depth", geometry_named("offsets"), PocketSpec())
    with pytest.raises(ConfigError, match="--geometry is 'nerf'; expected one of offsets, dmtet"):
        geometry_named("nerf")
    with pytest.raises(ConfigError, match="offsets have no grid"):
        geometry_named("offsets", cubes=8)
    with pytest.raises(ConfigError, match="a grid of its own"):
        ShapeSettings(geometry=DMTetConfig(), subdivide=1)
    with pytest.raises(ConfigError, match="oracle knows a texture"):
        shape_settings("rgb", geometry_named("offsets"), OracleSpec())
    with pytest.raises(ConfigError, match=r"latents_until is 0\.3, but no normals are shown"):
        ShapeSettings(pictures=PictureConfig(latents_until=0.3))
    with pytest.raises(ConfigError, match="subdivide is 9"):
        ShapeSettings(subdivide=9)
    with pytest.raises(ConfigError, match="would replace"):
        check_spared(tmp_path / "shape.obj", tmp_path)
    check_spared(tmp_path / "box.obj", tmp_path)
    check_spared(blockout.parent / "shape.obj", tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["no-such.obj"], "There is no file no-such.obj"),
        (["BOX", "--loss", "normal"], "never seen a picture of normals"),
        (["BOX", "--steps", "0"], "steps is 0"),
        (["BOX", "--cubes", "8"], "offsets have no grid"),
        (["BOX", "--learning-rate", "inf"], "learning_rate is inf; it must be above 0 and finite"),
        (["BOX", "--seed", "-1"], "seed is -1"),
        (["BOX", "--resolution", "100000"], "a shape is drawn up to 4096"),
        (["BOX", "--out", "BOX/sub"], "it is a file; choose another --out"),
    ],
)
def test_the_command_says_what_is_wrong_and_writes_nothing(blockout, tmp_path, given, said):
    words = [word.replace("BOX", str(blockout)) for word in given]
    done = CliRunner().invoke(app, ["shape", "--prompt", "a stone", "--out", str(tmp_path / "out"), *words])
    assert done.exit_code != 0
    assert said in done.output.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_a_run_holds_to_the_blockout_where_it_is_asked_to(blockout):
    from pgc.guidance.oracle import OracleConfig, OracleGuidance

    guidance = OracleGuidance(OracleConfig(), torch.device("cpu"))
    for hold in (False, True):
        settings = tiny(replace(ShapeSettings(), hold=hold))
        run = prepare_shape(load_mesh(blockout), guidance, Prompt(text=""), settings)
        assert (run.scene.held is not None) == hold


def test_a_mesh_too_large_is_refused_before_it_is_made(blockout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgc.shape.prepared.MOST_TRIANGLES", 12 * 4**2 - 1)
    oracle = OracleGuidance(OracleConfig(), torch.device("cpu"))
    with pytest.raises(ConfigError, match=r"192 triangles, and a shape is learnt up to 191; .* a smaller --subdivide"):
        prepare_shape(load_mesh(blockout), oracle, Prompt(text=""), ShapeSettings(subdivide=2))


@pytest.mark.slow
def test_a_shape_that_would_vanish_is_written_as_it_was_before(models, blockout, tmp_path, monkeypatch):
    monkeypatch.setattr(PreparedShape, "why_over", lambda run: "It vanished." if run.loop.step == 1 else None)
    spec = parse_guidance(str(models[False]))
    settings = tiny(shape_settings("rgb", geometry_named("offsets"), spec))
    request = ShapeRequest(mesh=blockout, prompt=Prompt(text="a stone"), settings=settings)
    told = []
    guidance = load_guidance(spec, torch.device("cpu"))
    assert not refine_shape(request, guidance, tmp_path, ShapeHooks(on_note=told.append))
    report = json.loads((tmp_path / "run.json").read_text())
    assert (report["state"], report["steps_done"]) == ("interrupted", 1)
    assert "It vanished." in report["warnings"]
    assert told[-1] == "It vanished."
    assert len(load_mesh(tmp_path / "shape.obj").polygon_sizes) == 6


def test_a_run_is_over_where_its_shape_would_have_vanished(blockout):
    guidance = OracleGuidance(OracleConfig(image_size=16), torch.device("cpu"))
    run = prepare_shape(load_mesh(blockout), guidance, Prompt(text=""), ShapeSettings(geometry=DMTetConfig(cubes=8)))
    shape, run.loop.step = run.scene.geometry, 4
    assert run.why_over() is None
    with torch.no_grad():
        shape.distances.fill_(1.0)
    shape.after_step()
    assert "vanished in step 4" in run.why_over()


def test_holding_is_refused_where_no_controlnet_would_see_the_mesh(blockout, tmp_path):
    for spec in (PocketSpec(), parse_guidance("sdxl"), parse_guidance("sd15")):
        check_hold(spec)
    bare = replace(parse_guidance("sd15"), controlnet=None)
    for spec in (bare, parse_guidance("flux")):
        with pytest.raises(ConfigError, match="--hold"):
            check_hold(spec)
    wish = ControlSpec(wish=ControlWish(kind="tile"), source="x")
    with pytest.raises(ConfigError, match="--hold"):
        check_hold(replace(bare, controls=(wish,)))
    check_hold(replace(bare, controls=(replace(wish, wish=ControlWish(kind="normal")),)))
    for spec in (PocketSpec(), parse_guidance("sd15")):
        with pytest.raises(ConfigError, match="strength above 0"):
            check_hold(replace(spec, run=replace(spec.run, control_scale=0.0)))
    with pytest.raises(ConfigError, match="strength above 0"):
        check_hold(replace(bare, controls=(replace(wish, wish=ControlWish(kind="normal", scale=0.0)),)))
    given = [
        "shape",
        str(blockout),
        "--prompt",
        "a stone",
        "--guidance",
        "flux",
        "--hold",
        "--out",
        str(tmp_path / "x"),
    ]
    done = CliRunner().invoke(app, given)
    assert done.exit_code != 0
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_same_shape(models, blockout, tmp_path):
    spec = parse_guidance(str(models[False]))
    settings = tiny(shape_settings("rgb", geometry_named("offsets"), spec))
    request = ShapeRequest(mesh=blockout, prompt=Prompt(text="a stone"), settings=settings, prior=spec)
    guidance = load_guidance(spec, torch.device("cpu"))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    assert refine_shape(request, guidance, whole, ShapeHooks(), checkpoints="write")
    assert not (whole / "checkpoint.safetensors").exists()
    assert not refine_shape(request, guidance, parts, ShapeHooks(should_stop=lambda: True), checkpoints="write")
    other = replace(request, settings=replace(settings, subdivide=1))
    with pytest.raises(CheckpointError, match="another mesh, prompt, model or choice"):
        refine_shape(other, guidance, parts, ShapeHooks(), checkpoints="resume")
    seen = []
    assert refine_shape(request, guidance, parts, ShapeHooks(on_step=seen.append), checkpoints="resume")
    assert [result.step for result in seen] == [2, 3]
    assert (parts / "shape.obj").read_bytes() == (whole / "shape.obj").read_bytes()
    assert not (parts / "checkpoint.safetensors").exists()
    assert json.loads((parts / "run.json").read_text())["state"] == "finished"


def test_what_cannot_be_resumed_is_refused_before_anything_is_loaded(blockout, tmp_path):
    given = ["shape", str(blockout), "--prompt", "a stone", "--out", str(tmp_path / "run"), "--resume"]
    for more in ([], ["--overwrite"]):
        done = CliRunner().invoke(app, [*given, *more])
        assert done.exit_code != 0
        assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_an_earlier_version_is_of_the_same_run(tmp_path):
    """The mark was written by the version before `OptimizeConfig.front_scale`, and stays as it is."""
    of_then = "c44022a699e8e783a5f7ac0a3cd74192028e17d4c9663b16ec03b0e88a83ca92"
    parts = {"mesh": "ab", "prompt": Prompt(text="a stone"), "prior": PocketSpec()}
    marks = [mark_of(told, parts) for told in told_by_versions(ShapeSettings())]
    save_checkpoint(tmp_path / "checkpoint.safetensors", {"texture": torch.ones(1)}, {"shape_run": of_then})
    assert saved_by(tmp_path, marks)[1]["shape_run"] == of_then
    with pytest.raises(CheckpointError, match="another mesh, prompt, model or choice"):
        saved_by(tmp_path, [mark_of(told, {**parts, "mesh": "b"}) for told in told_by_versions(ShapeSettings())])
