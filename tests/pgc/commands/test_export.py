# SPDX-License-Identifier: Apache-2.0
"""`pgc texture` with options about export, `pgc export` and `pgc transfer`, as a person types them."""

import os

import numpy as np
import OpenImageIO as oiio
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from pgc.cli import app
from pgc.images.writing import read_image
from pgc.mesh import load_mesh
from pgc.runs.report import read_report

TINY = ["--steps", "2", "--views", "1", "--resolution", "16", "--texture-size", "32", "--device", "cpu"]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def texture(cube_obj, red_texture, tmp_path):
    """Runs `pgc texture` with the oracle."""

    def start(*more):
        oracle = ["--prompt", "red", "--guidance", "oracle", "--oracle-texture", red_texture]
        pictures = ["--preview-size", "16", "--no-turntable"]
        return run("texture", cube_obj, "--out", tmp_path / "run", *oracle, *TINY, *pictures, *more)

    return start


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_a_run_exports_all_its_bits(texture, tmp_path):
    result = texture("--format", "png16", "--engine", "godot", "--models", "obj")
    assert result.exit_code == 0, result.stderr
    folder = tmp_path / "run" / "export"
    assert names(folder) == ["base_color.png", "cube_albedo.png", "textured.mtl", "textured.obj"]
    assert "export/cube_albedo.png" in read_report(tmp_path / "run" / "run.json")["files"]
    fine = np.array(oiio.ImageInput.open(str(folder / "cube_albedo.png")).read_image("uint16"))
    with Image.open(tmp_path / "run" / "base_color.png") as image:
        coarse = np.array(image)
    assert (fine % 257 != 0).any(), "more than 8 bits stretched to 16"
    # The same texture, rounded once each.
    assert np.abs(fine / 257 - coarse).max() <= 0.51
    assert load_mesh(folder / "textured.obj").triangle_count == 12


@pytest.mark.slow
def test_without_such_options_there_is_no_folder(texture, tmp_path):
    assert texture().exit_code == 0
    assert not (tmp_path / "run" / "export").exists()


@pytest.mark.slow
def test_export_of_a_finished_run(texture, tmp_path):
    assert texture().exit_code == 0
    result = run("export", tmp_path / "run", "--out", tmp_path / "files", "--format", "exr", "--models", "glb,obj")
    assert result.exit_code == 0, result.stderr
    assert names(tmp_path / "files") == ["base_color.exr", "textured.glb", "textured.mtl", "textured.obj"]
    assert len(result.stdout.split()) == 4
    exr = read_image(tmp_path / "files" / "base_color.exr", "color")
    png = read_image(tmp_path / "run" / "base_color.png", "color")
    torch.testing.assert_close(exr, png, atol=1e-3, rtol=0)


@pytest.mark.slow
def test_transfer_of_a_finished_run(texture, cube_obj, tmp_path):
    assert texture().exit_code == 0
    # Another layout of the same cube: UVs with u and v exchanged.
    lines = cube_obj.read_text().splitlines()
    swapped = [" ".join([parts[0], *parts[2:0:-1]]) if (parts := line.split())[0] == "vt" else line for line in lines]
    other = tmp_path / "other.obj"
    other.write_text("\n".join(swapped))
    result = run("transfer", tmp_path / "run", other, "--out", tmp_path / "files", "--texture-size", 32)
    assert result.exit_code == 0, result.stderr
    assert names(tmp_path / "files") == ["base_color.png", "normal.png", "textured.glb"]
    moved = read_image(tmp_path / "files" / "base_color.png", "color")
    expected = read_image(tmp_path / "run" / "base_color.png", "color").flip(1).transpose(1, 2).flip(1)
    inside = (moved - expected).abs().amax(dim=0) < 0.02
    assert inside.float().mean() > 0.6, "all but the gutter"
    flat = read_image(tmp_path / "files" / "normal.png", "data")
    assert (flat - torch.tensor([0.5, 0.5, 1.0])[:, None, None]).abs().max() < 0.01


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "jpg"], "no image format 'jpg'"),
        (["--engine", "cry"], "no packing 'cry'"),
        (["--normals", "up"], "opengl or directx"),
        (["--models", "fbx"], "no model format 'fbx'"),
    ],
)
def test_unknown_names(texture, tmp_path, options, words):
    for result in (texture(*options), run("export", tmp_path, "--out", tmp_path / "files", *options)):
        assert result.exit_code == 2
        assert words in result.stderr.replace("\n", " ")
    assert not (tmp_path / "run").exists(), "said before a run begins"


@pytest.mark.slow
def test_other_mistakes(texture, cube_obj, tmp_path):
    server = run("texture", cube_obj, "--prompt", "red", "--out", tmp_path / "run", "--format", "exr", "--server")
    assert server.exit_code == 2
    assert "pgc export" in server.stderr
    assert not (tmp_path / "run").exists()
    nothing = run("export", tmp_path, "--out", tmp_path / "files")
    assert nothing.exit_code == 2
    assert "run.json" in nothing.stderr
    assert texture().exit_code == 0
    wrong = run("transfer", tmp_path / "run", tmp_path / "cube.obj", "--out", tmp_path / "files", "--up", "x")
    assert wrong.exit_code == 2
    assert "expected y or z" in wrong.stderr


def test_an_export_that_cannot_be_is_refused_before_the_run(cube_obj, tmp_path, monkeypatch):
    def refused(out, *more):
        told = run("texture", cube_obj, "--prompt", "red", "--out", out, *TINY, *more)
        assert not out.exists(), "nothing was begun"
        return told.exit_code, " ".join(told.stderr.split())

    code, text = refused(tmp_path / os.fsdecode(b"caf\xe9"), "--format", "exr")
    assert code == 2
    assert "its name is no text in UTF-8" in text
    monkeypatch.setattr("pgc.export.material.find_blender", lambda environment: None)
    code, text = refused(tmp_path / "run", "--models", "blend")
    assert code == 2
    assert "No Blender was found" in text
    for command in (["export", tmp_path / "nothing"], ["transfer", tmp_path / "nothing", cube_obj]):
        told = run(*command, "--out", tmp_path / "out", "--models", "blend")
        assert "No Blender was found" in " ".join(told.stderr.split()), "not that there is no run"
