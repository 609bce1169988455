# SPDX-License-Identifier: Apache-2.0
"""Whole runs from a prompt: published models in the small, the command, stopping and going on, and what is refused."""

import hashlib
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import trimesh
from typer.testing import CliRunner

from pgc.cli import app
from pgc.errors import CheckpointError, ConfigError, MeshError
from pgc.guidance.specs import OracleSpec, PocketSpec, load_guidance, parse_guidance
from pgc.mesh import load_mesh, prepare_mesh
from pgc.optimization.config import Prompt
from pgc.pictures.contact_sheet import PreviewConfig
from pgc.runs.arguments import TextureArguments, arguments_from_report
from pgc.runs.checkpoint import load_checkpoint
from pgc.runs.earlier_run import EarlierRun
from pgc.runs.folder import OutputConfig, RunFolder
from pgc.runs.report import VOLUME_FORMAT, plain
from pgc.runs.runner import RunHooks, texture_mesh
from pgc.runs.settings.choices import RunChoices
from pgc.volume import runner
from pgc.volume.field import VolumeFieldConfig
from pgc.volume.finish import TextureStage, VolumeMesh, texture_volume
from pgc.volume.light.marching import MarchConfig
from pgc.volume.occupancy import OccupancyConfig
from pgc.volume.outcome import check_spared
from pgc.volume.runner import VolumeHooks, VolumeRequest, imagine
from pgc.volume.settings import VolumeSettings, volume_settings, with_start
from pgc.volume.start import BallStart, NamedStart, start_distances
from pgc.volume.surface import SurfaceConfig
from pgc.volume.volume import VolumeConfig
from tests.pgc.guidance.conftest import write_model

TINY = VolumeConfig(
    field=VolumeFieldConfig(grid_levels=2, coarsest_cells=4, finest_cells=8, rows=512, hidden=4, start_density=60.0),
    occupancy=OccupancyConfig(cells=12),
    march=MarchConfig(step=0.1),
)
VOLUME_FILES = {"volume.glb", "volume.obj", "volume.mtl", "preview.png", "run.json"}


@pytest.fixture(autouse=True)
def small_pictures_of_textures(monkeypatch):
    """What is drawn for people takes longer than the runs."""
    small = OutputConfig(preview=PreviewConfig(view_size=16), turntable=None)
    monkeypatch.setattr("pgc.volume.finish.texture_mesh", partial(texture_mesh, outputs=small))
    monkeypatch.setattr("pgc.volume.outcome._SIDE", 16)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {xl: write_model(folder / f"xl-{xl}", xl=xl) for xl in (False, True)}


def tiny(settings: VolumeSettings, **changes) -> VolumeSettings:
    optimize = replace(settings.optimize, steps=3, views=1, resolution=16, **changes)
    return replace(settings, volume=TINY, optimize=optimize, surface=SurfaceConfig(triangles=400))


def request_of(models, *, xl: bool = False, texture: TextureStage | None = None) -> VolumeRequest:
    spec = parse_guidance(str(models[xl]))
    settings = tiny(volume_settings(spec, "a stone"))
    return VolumeRequest(prompt=Prompt(text="a stone"), settings=settings, prior=spec, texture=texture)


@pytest.mark.slow
@pytest.mark.parametrize("xl", [False, True])
def test_every_preset_runs_three_steps_on_a_model_of_the_true_format(models, tmp_path, xl):
    choices = RunChoices(steps=1, views=1, resolution=32, texture_size=64, warm_start=False)
    request = request_of(models, xl=xl, texture=None if xl else TextureStage(choices=choices))
    # One step of Stable-DreamFusion's early phase.
    request = replace(request, settings=replace(request.settings, latents_until=0.3))
    seen, stages = [], []
    hooks = VolumeHooks(on_step=seen.append, on_stage=stages.append)
    guidance = load_guidance(request.prior, torch.device("cpu"))
    assert imagine(request, guidance, tmp_path, hooks)
    assert [result.steps for result in seen] == [3, 3, 3] if xl else [3, 3, 3, 1]
    assert [result.image_gradient.shape[1] for result in seen[:3]] == [4, 3, 3]
    assert stages == ["volume", "mesh"] + ([] if xl else ["texture"])
    assert all(torch.isfinite(result.image_gradient).all() for result in seen)
    if not xl:
        exported = CliRunner().invoke(app, ["export", str(tmp_path / "texture"), "--out", str(tmp_path / "exported")])
        assert exported.exit_code == 0, exported.output
    made = load_mesh(tmp_path / ("volume.glb" if xl else "imagined.glb"))
    assert made.has_uvs
    drawn = trimesh.Trimesh(made.positions, made.corner_positions.reshape(-1, 3))
    assert drawn.volume > 0.0
    report = json.loads((tmp_path / "run.json").read_text())
    assert (report["format"], report["state"], report["steps_done"]) == ("pgc-volume-1", "finished", 3)
    assert report["settings"]["optimize"]["type"] == "OptimizeConfig"
    assert report["regulation"]["method"]["type"] == "PixelwiseClippingConfig"
    assert report["versions"]["torch"] == torch.__version__
    assert not (tmp_path / "checkpoint.safetensors").exists()
    for name, digest in report["files"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.slow
def test_a_run_that_is_stopped_has_its_mesh_and_goes_on_to_the_same_end(models, tmp_path):
    request = request_of(models)
    guidance = load_guidance(request.prior, torch.device("cpu"))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert imagine(request, guidance, whole, VolumeHooks())
    assert not imagine(request, guidance, parts, VolumeHooks(should_stop=lambda: True))
    assert json.loads((parts / "run.json").read_text())["state"] == "interrupted"
    assert load_mesh(parts / "volume.obj").colors is not None
    assert {path.name for path in parts.iterdir()} == VOLUME_FILES | {"checkpoint.safetensors"}
    other = replace(request, settings=replace(request.settings, start=BallStart(radius=0.3)))
    with pytest.raises(CheckpointError, match="begun with another prompt"):
        imagine(other, guidance, parts, VolumeHooks(), resume=True)
    assert imagine(request, guidance, parts, VolumeHooks(), resume=True)
    assert (parts / "volume.obj").read_bytes() == (whole / "volume.obj").read_bytes()
    assert {path.name for path in parts.iterdir()} == VOLUME_FILES


@pytest.mark.slow
def test_a_checkpoint_of_an_earlier_version_goes_on_as_it_began(models, tmp_path, monkeypatch):
    """Shapes began soft, and inside their own surface."""
    request = request_of(models)
    soft = replace(TINY, field=replace(TINY.field, start_density=VolumeFieldConfig().start_density))
    then = replace(request, settings=replace(request.settings, volume=soft, start=NamedStart(shape="sphere")))
    now = replace(then, settings=with_start(then.settings, then.settings.start))
    guidance = load_guidance(request.prior, torch.device("cpu"))
    stopped = VolumeHooks(should_stop=lambda: True)
    with monkeypatch.context() as earlier:
        earlier.setattr(runner, "begun_distances", lambda settings, progress: start_distances(settings.start))
        assert not imagine(then, guidance, tmp_path, stopped)
    assert not imagine(now, guidance, tmp_path, stopped, resume=True)
    report = json.loads((tmp_path / "run.json").read_text())
    assert report["steps_done"] == 2
    assert report["settings"] == plain(then.settings)
    kept, _ = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert torch.equal(kept["texture.field.start"], start_distances(then.settings.start))


@pytest.mark.slow
def test_a_texture_that_is_stopped_goes_on_where_it_was(models, tmp_path):
    choices = RunChoices(steps=3, views=1, resolution=32, texture_size=64, warm_start=False)
    request = request_of(models, texture=TextureStage(choices=choices))
    guidance = load_guidance(request.prior, torch.device("cpu"))
    seen: list[int] = []

    def third_of_all() -> bool:
        """Stops in the texture's first step: three are the volume's, after the last of which nobody asks."""
        seen.append(1)
        return len(seen) == 3

    assert not imagine(request, guidance, tmp_path, VolumeHooks(should_stop=third_of_all))
    assert json.loads((tmp_path / "run.json").read_text())["state"] == "interrupted"
    assert json.loads((tmp_path / "texture" / "run.json").read_text())["steps_done"] == 1
    stored = arguments_from_report(json.loads((tmp_path / "texture" / "run.json").read_text()), TextureArguments())
    place = RunFolder(tmp_path / "texture")
    assert load_checkpoint(place.checkpoint)[1]["request"] == stored.to_request().fingerprint()
    steps: list[tuple[int, int]] = []
    again = VolumeHooks(on_step=lambda result: steps.append((result.step, result.steps)))
    assert imagine(request, guidance, tmp_path, again, resume=True)
    assert steps == [(2, 3), (3, 3)]
    assert not (tmp_path / "checkpoint.safetensors").exists()


@pytest.mark.slow
def test_a_texture_that_was_finished_meanwhile_is_kept_and_its_folder_may_move(tmp_path, monkeypatch):
    """By the pieces: whole runs would take half a minute."""
    corners, faces = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]
    here = tmp_path / "im1"
    here.mkdir()
    trimesh.Trimesh(corners, faces).export(here / "volume.glb")
    mesh = prepare_mesh(load_mesh(here / "volume.glb"))
    choices = RunChoices(steps=1, views=1, resolution=24, texture_size=64, warm_start=False)
    stage, cpu = TextureStage(choices=choices), torch.device("cpu")
    # As the volume has it: its name is another one than its file's.
    mesh = replace(mesh, mesh=replace(mesh.mesh, name="imagined"))
    made = VolumeMesh(mesh=mesh, guidance=None, device=cpu, prior=PocketSpec(), prompt=Prompt(text="a stone"))
    assert texture_volume(stage, made, here, RunHooks(), resume=False)[1]
    moved, digest = tmp_path / "im2", hashlib.sha256((here / "volume.glb").read_bytes()).hexdigest()
    (here / "run.json").write_text(json.dumps({"format": VOLUME_FORMAT, "files": {"volume.glb": digest}}))
    here.rename(moved)
    (moved / "imagined.glb").unlink()
    painted = (moved / "texture" / "textured.glb").read_bytes()
    exported = CliRunner().invoke(app, ["export", str(moved / "texture"), "--out", str(tmp_path / "exported")])
    assert exported.exit_code == 0, exported.output

    def refuse(*given, **named):
        raise AssertionError("it was finished")

    monkeypatch.setattr("pgc.volume.finish.texture_mesh", refuse)
    report = json.loads((moved / "texture" / "run.json").read_text())
    report["mesh"] |= {"name": "volume"}
    (moved / "texture" / "run.json").write_text(json.dumps(report))
    told, finished = texture_volume(stage, replace(made, is_as_before=True), moved, RunHooks(), resume=True)
    assert (finished, told["steps_done"]) == (True, 1)
    assert (moved / "imagined.glb").read_bytes() == (moved / "texture" / "textured.glb").read_bytes() == painted
    for name, digest in told["files"].items():
        assert hashlib.sha256((moved / name).read_bytes()).hexdigest() == digest, name
    other = TextureStage(choices=replace(choices, steps=2))
    for changed, of_run in ((other, replace(made, is_as_before=True)), (stage, made)):
        with pytest.raises(AssertionError, match="finished"):
            texture_volume(changed, of_run, moved, RunHooks(), resume=True)
        EarlierRun(moved / "texture").give_back()
    (moved / "volume.glb").write_bytes(b"of another volume")
    assert RunFolder(moved / "texture").place_of(str(here / "volume.glb")) == str(here / "volume.glb")


def test_a_mesh_that_a_run_would_replace_is_spared(tmp_path):
    (tmp_path / "volume.obj").touch()
    (tmp_path / "link.obj").symlink_to(tmp_path / "volume.obj")
    with pytest.raises(ConfigError, match="would replace"):
        check_spared(tmp_path / "link.obj", tmp_path)
    check_spared(tmp_path / "box.obj", tmp_path)
    for name in ("imagined.glb", "texture/textured.glb"):
        with pytest.raises(ConfigError, match="would replace"):
            check_spared(tmp_path / name, tmp_path)


@pytest.mark.slow
def test_a_volume_that_vanishes_is_told_and_leaves_its_picture(models, tmp_path):
    request = request_of(models)
    faint = replace(TINY, field=replace(TINY.field, start_scale=1e6))
    settings = replace(request.settings, volume=replace(faint, occupancy=OccupancyConfig(cells=12, threshold=5.0)))
    guidance = load_guidance(request.prior, torch.device("cpu"))
    with pytest.raises(MeshError, match="The volume is empty"):
        imagine(replace(request, settings=settings), guidance, tmp_path, VolumeHooks())
    assert (tmp_path / "preview.png").is_file()
    report = json.loads((tmp_path / "run.json").read_text())
    assert report["state"] == "failed"
    assert "The volume is empty" in report["warnings"][-1]


@pytest.mark.slow
def test_a_volume_that_vanishes_gives_an_earlier_run_back(models, tmp_path):
    request = request_of(models)
    guidance = load_guidance(request.prior, torch.device("cpu"))
    folder = RunFolder(tmp_path / "run")
    folder.claim(overwrite=False)
    assert imagine(request, guidance, folder.path, VolumeHooks())
    before = {path.name: path.read_bytes() for path in folder.path.iterdir() if path.is_file()}
    faint = replace(TINY, field=replace(TINY.field, start_scale=1e6))
    settings = replace(request.settings, volume=replace(faint, occupancy=OccupancyConfig(cells=12, threshold=5.0)))
    folder.claim(overwrite=True)
    with pytest.raises(MeshError, match="The volume is empty"), folder.giving_back():
        imagine(replace(request, settings=settings), guidance, folder.path, VolumeHooks())
    assert {path.name: path.read_bytes() for path in folder.path.iterdir() if path.is_file()} == before


@pytest.mark.slow
def test_a_checkpoint_of_an_earlier_texture_is_not_gone_on_with(models, tmp_path):
    request = request_of(models)
    old = tmp_path / "texture" / "checkpoint.safetensors"
    old.parent.mkdir()
    old.write_bytes(b"of another run")
    guidance = load_guidance(request.prior, torch.device("cpu"))
    assert not imagine(request, guidance, tmp_path, VolumeHooks(should_stop=lambda: True))
    assert not old.exists()


@pytest.mark.slow
def test_the_command_makes_a_textured_mesh_with_the_built_in_model(tmp_path, monkeypatch):
    monkeypatch.setattr("pgc.runs.settings.warm._POCKET_SAMPLER_STEPS", 1)
    more = ["--steps", "1", "--views", "1", "--resolution", "24", "--texture-steps", "1", "--texture-size", "64"]
    out = ["--out", str(tmp_path / "out"), "--triangles", "600"]
    done = CliRunner().invoke(app, ["imagine", "a red vase", *out, *more])
    assert done.exit_code == 0, done.output
    assert "begins as a vase" in done.output.replace("\n", " ")
    report = json.loads((tmp_path / "out" / "run.json").read_text())
    assert report["settings"]["start"] == {"type": "NamedStart", "shape": "vase", "extent": 0.7}
    made = load_mesh(tmp_path / "out" / "imagined.glb")
    height = made.positions.max(axis=0) - made.positions.min(axis=0)
    assert max(height) > 1.2 * sorted(height)[1]
    again = CliRunner().invoke(app, ["imagine", "a red vase", *out, *more])
    assert again.exit_code == 2
    assert "--overwrite" in again.output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([""], "The prompt is empty"),
        (["a vase", "--start", "lion"], "--start is 'lion'; expected ball"),
        (["a vase", "--steps", "0"], "steps is 0"),
        (["a vase", "--learning-rate", "nan"], "learning_rate is nan"),
        (["a vase", "--latents-until", "2"], "latents_until is 2.0; it must lie in [0, 1]"),
        (["a vase", "--latents-until", "0.2"], "HiFAConfig compares pictures"),
        (["a vase", "--triangles", "3"], "expected 100 or more"),
        (["a vase", "--guidance", "oracle"], "no shape to aim at"),
        (["a vase", "--no-texture", "--texture-size", "64"], "are about the texture"),
        (["a vase", "--seed", "-1"], "seed is -1"),
        (["a vase", "--resume"], "There is no unfinished run"),
        (["a vase", "--texture-size", "100"], "100"),
    ],
)
def test_the_command_says_what_is_wrong_and_writes_nothing(tmp_path: Path, given: list[str], said: str):
    done = CliRunner().invoke(app, ["imagine", *given, "--out", str(tmp_path / "out")])
    assert done.exit_code != 0
    assert said in done.output.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_presets_are_those_of_the_papers_and_shapes_come_from_words_where_the_model_draws_none():
    sd = volume_settings(parse_guidance("sd15"), "a red vase")
    assert (sd.optimize.steps, sd.optimize.resolution, sd.start) == (10_000, 64, BallStart())
    assert (sd.volume.field.grid_levels, sd.volume.field.finest_cells, sd.volume.field.rows) == (16, 2048, 1 << 19)
    xl = volume_settings(parse_guidance("sdxl"), "a red vase")
    assert (xl.optimize.steps, xl.optimize.views) == (5_000, 4)
    pocket = volume_settings(PocketSpec(), "a red vase")
    assert pocket.start == NamedStart(shape="vase")
    steps = {name: volume_settings(PocketSpec(), "a vase", name).optimize.steps for name in ("draft", "fine")}
    assert steps == {"draft": pocket.optimize.steps / 2, "fine": pocket.optimize.steps * 2}
    assert volume_settings(PocketSpec(), "a red lion").start == BallStart()
    with pytest.raises(ConfigError, match="no shape to aim at"):
        volume_settings(OracleSpec(), "a vase")
