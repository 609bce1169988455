# SPDX-License-Identifier: Apache-2.0
"""`pgc texture --server` against a small server in this process, which finishes every job at once."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from blender_addon import client as wire
from pgc.cli import app
from pgc.errors import ConfigError
from pgc.images.maps import encode_png
from pgc.remote.events import RemoteError
from pgc.remote.files import texture_of
from pgc.remote.job import check_remote_arguments, remote_job
from pgc.runs.arguments import TextureArguments
from pgc.runs.report import read_report
from pgc.runs.request import load_prepared, load_sources
from tests.blender_addon.client.fake_server import serving
from tests.pgc.image_files import write_with_oiio


def png(color=(10, 200, 30), size=16):
    return encode_png(torch.tensor(color, dtype=torch.uint8)[:, None, None].expand(3, size, size))


@pytest.fixture
def pgc_remote(cube_obj, red_texture, tmp_path):
    """Runs the command against whatever the connection file of the test names."""

    def run(*more, out=tmp_path / "out"):
        tiny = ["--steps", "2", "--views", "1", "--resolution", "16", "--texture-size", "32"]
        pictures = ["--preview-size", "16", "--no-turntable", "--connection", str(tmp_path / "connection.json")]
        oracle = ["--prompt", "red", "--guidance", "oracle", "--oracle-texture", str(red_texture)]
        return CliRunner().invoke(app, ["texture", str(cube_obj), "--out", str(out), *oracle, *tiny, *pictures, *more])

    return run


@pytest.mark.slow
def test_the_servers_maps_come_into_the_same_folder_as_ever(pgc_remote, tmp_path):
    with serving(tmp_path / "connection.json", result=png()) as server:
        result = pgc_remote("--seed", "5")
    assert result.exit_code == 0, result.stderr
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {"base_color.png", "textured.glb", "preview.png", "run.json"}
    assert (out / "base_color.png").read_bytes() == png()
    report = read_report(out / "run.json")
    assert (report["state"], report["seed"], report["steps_done"]) == ("finished", 5, 2)
    assert set(report["files"]) == {"base_color.png", "textured.glb", "preview.png"}
    [submitted] = server.submitted
    assert report["server"]["key"] == submitted.key
    assert submitted.spec.settings == wire.SettingsSpec(seed=5, steps=2, views=1, resolution=16, texture_size=32)


@pytest.mark.slow
def test_resuming_asks_for_the_same_job_again(pgc_remote, tmp_path):
    with serving(tmp_path / "connection.json", result=png()) as server:
        assert pgc_remote().exit_code == 0
        arguments = ["texture", "--resume", "--out", str(tmp_path / "out"), "--no-turntable"]
        again = CliRunner().invoke(app, [*arguments, "--connection", str(tmp_path / "connection.json")])
    assert again.exit_code == 0, again.stderr
    first, second = server.submitted
    assert first.key == second.key
    assert first.spec == second.spec


@pytest.mark.slow
def test_several_seeds_are_jobs_that_wait_together_over_one_mesh(pgc_remote, tmp_path):
    with serving(tmp_path / "connection.json", result=png()) as server:
        result = pgc_remote("--seeds", "4,9")
    assert result.exit_code == 0, result.stderr
    first, second = server.submitted
    assert (first.spec.settings.seed, second.spec.settings.seed) == (4, 9)
    assert first.spec.meshes == second.spec.meshes
    for seed in (4, 9):
        report = read_report(tmp_path / "out" / f"seed-{seed}" / "run.json")
        assert (report["state"], report["seed"]) == ("finished", seed)
        assert report["server"]["key"] in {first.key, second.key}
    with serving(tmp_path / "connection.json", result=b"no picture") as server:
        failed = pgc_remote("--seeds", "4,9", "--overwrite")
    assert failed.exit_code == 2
    assert len(server.submitted) == 2
    assert failed.stderr.count("cannot be read") == 3, "each is told, and the first is the command's own end"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--device", "cpu"], "--device is the server's own"),
        (["--rasterizer", "warp"], "--rasterizer is the server's own"),
        (["--guidance", "./weights"], "pgc-server models list"),
        (["--steps", "0"], "1 or more"),
        (["--connection", "nowhere.json"], "no connection file"),
        (["--resume"], "run.json"),
    ],
)
def test_bad_options_are_one_sentence_and_exit_code_2(pgc_remote, tmp_path, more, words):
    result = pgc_remote(*more)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_a_job_that_is_refused_is_one_sentence(pgc_remote, tmp_path):
    with serving(tmp_path / "connection.json", result=b"no picture"):
        result = pgc_remote()
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr


def test_a_run_that_was_none_of_the_servers_is_not_resumed_there(pgc_remote, cube_obj, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    report = {"format": "pgc-run-1", "arguments": {"mesh": str(cube_obj), "prompt": "red"}, "server": {}}
    (out / "run.json").write_text(json.dumps(report))
    arguments = ["texture", "--resume", "--server", "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "without --server" in result.stderr


def job_of(arguments):
    request = arguments.to_request()
    mesh = load_prepared(request, lambda stage, fraction: None)
    return remote_job(arguments, request, mesh, load_sources(request, mesh)), mesh


def test_the_mesh_goes_out_as_it_stands_in_the_file_only_turned(cube_obj):
    job, mesh = job_of(TextureArguments(mesh=str(cube_obj), prompt="red", front="+y"))
    [sent] = job.spec.meshes
    positions = job.arrays[sent.positions.sha256]
    # OBJ is Y-up: (x, y, z) becomes (x, -z, y).
    own = mesh.mesh.positions
    assert {tuple(p) for p in positions} == {(x, -z, y) for x, y, z in own.tolist()}
    assert sent.faces.shape == (12, 3)
    assert job.arrays[sent.corner_uvs.sha256].shape == (12, 3, 2)
    assert job.spec.prompt.front_axis == "y"
    assert job.spec.settings == wire.SettingsSpec()
    separate, _ = job_of(TextureArguments(mesh=str(cube_obj), prompt="red", separate_slots=True))
    assert separate.spec.settings == wire.SettingsSpec(separate_slots=True)


def test_the_method_goes_out_under_the_protocols_names(cube_obj):
    arguments = TextureArguments(
        mesh=str(cube_obj), prompt="red", distillation="csd", timesteps="dreamtime", regulation="adaptive"
    )
    spec = job_of(replace(arguments, clip_quantile=0.8, guidance_scale=2.0, depth_scale=0.5))[0].spec
    assert spec.distillation == wire.DistillationSpec(kind="csd", timesteps="dreamtime")
    assert spec.regulation == wire.RegulationSpec(kind="adaptive", quantile=0.8)
    assert spec.guidance.guidance_scale == 2.0
    assert spec.conditions == wire.ConditionsSpec(depth_scale=0.5)
    weighted = job_of(TextureArguments(mesh=str(cube_obj), prompt="red", latent_weight=0.5))[0].spec
    assert weighted.distillation == wire.DistillationSpec(kind="hifa", latent_weight=0.5)


def test_textures_to_start_from_go_along(cube_obj, red_texture):
    arguments = TextureArguments(
        mesh=str(cube_obj), prompt="red", init_texture=str(red_texture), lock_mask=str(red_texture)
    )
    job, _mesh = job_of(arguments)
    [initial], [mask] = job.spec.initial_texture, job.spec.lock_mask
    assert job.arrays[initial.array.sha256].tolist() == np.asarray(Image.open(red_texture)).tolist()
    assert job.arrays[mask.array.sha256].shape == (32, 32)
    assert job.spec.settings.texture_size == 32
    assert set(job.arrays) == {ref.sha256 for ref in job.spec.refs().values()}


@pytest.mark.slow
def test_a_whole_material_to_start_from_goes_along(cube_obj, red_texture, tmp_path):
    for name, mode in (("base_color", "RGB"), ("roughness", "L"), ("normal", "RGB"), ("occlusion", "L")):
        Image.open(red_texture).convert(mode).save(tmp_path / f"{name}.png")
    arguments = TextureArguments(
        mesh=str(cube_obj), prompt="red", maps=("metallic", "normal"), init_texture=str(tmp_path)
    )
    job, _mesh = job_of(arguments)
    assert {name: images[0].array.shape for name, images in job.spec.initial_maps.items()} == {
        "roughness": (32, 32),
        "normal": (32, 32, 3),
    }, "what the job makes, and no occlusion"
    assert set(job.arrays) == {ref.sha256 for ref in job.spec.refs().values()}
    # Base colour alone is wanted: that is all that would be used here too.
    job, _mesh = job_of(replace(arguments, maps=None))
    assert len(job.spec.initial_texture) == 1
    assert not job.spec.initial_maps


def test_models_are_named_not_pathed():
    check_remote_arguments(TextureArguments(guidance="sd15"))
    with pytest.raises(ConfigError, match="no path"):
        check_remote_arguments(TextureArguments(guidance="/etc/passwd"))


def map_file(data, **changes):
    fields = {
        **{"map": "base_color", "tile": 1001, "width": 16, "height": 16, "channels": 3, "dtype": wire.DType.U8},
        **{"color_space": "srgb", "codec": "png", "sha256": "0" * 64, "bytes": len(data)},
    }
    return wire.MapFile(**{**fields, **changes})


def test_raw_and_png_maps_are_the_same_texture():
    array = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    for codec, data in (("png", buffer.getvalue()), ("raw", array.tobytes())):
        texture = texture_of({map_file(data, codec=codec): data}, (1001,))
        assert texture.to_uint8()["base_color"][0].permute(1, 2, 0).numpy().tolist() == array.tolist()


@pytest.mark.parametrize(
    ("data", "changes", "words"),
    [
        (b"hello", {}, "cannot be read"),
        (png(size=8), {}, "shape"),
        (b"x", {"codec": "raw"}, "1 bytes"),
        (png(), {"dtype": wire.DType.U16}, "8-bit"),
        (png(), {"tile": 1002}, "lacks base_color.1001"),
    ],
)
def test_files_that_are_not_what_the_server_said_are_refused(data, changes, words):
    with pytest.raises(RemoteError, match=words):
        texture_of({map_file(data, **changes): data}, (1001,))


def test_a_result_without_maps_is_refused():
    with pytest.raises(RemoteError, match="all maps"):
        texture_of({}, (1001,))


@pytest.mark.slow
def test_what_does_not_go_over_the_wire_is_said_before_it_is_sent_and_alpha_comes_back(pgc_remote, tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (16, 16, 4)).astype(np.uint16)
    path = write_with_oiio(tmp_path / "deep.png", deep, "uint16", oiio__UnassociatedAlpha=1)
    with serving(tmp_path / "connection.json", result=png()) as server:
        result = pgc_remote("--init-texture", str(path), "--texture-size", "16")
    assert result.exit_code == 0, result.stderr
    said = " ".join(result.stderr.split())
    assert 0 < said.index("has alpha") < said.index("a server takes and gives 8 bits") < said.index("Done in")
    with Image.open(tmp_path / "out" / "base_color.png") as image:
        got = np.asarray(image)
    assert np.abs(got[..., 3] / 255 - deep[..., 3] / 65535).max() <= 0.5 / 255 + 1e-6
    assert got[..., :3].tolist() == [[[10, 200, 30]] * 16] * 16
    [submitted] = server.submitted
    assert submitted.spec.initial_texture[0].array.shape == (16, 16, 3)
    assert any("8 bits" in warning for warning in read_report(tmp_path / "out" / "run.json")["warnings"])
