# SPDX-License-Identifier: Apache-2.0
"""`pgc uvs`, and which UVs `pgc texture` takes, here and for a server."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pgc.cli import app
from pgc.commands.finished_run import load_run
from pgc.errors import ConfigError
from pgc.mesh import triangulate
from pgc.remote.job import remote_job
from pgc.runs.arguments import TextureArguments
from pgc.runs.report import RunReport, plain, write_report
from pgc.runs.request import SourceTextures, load_prepared
from tests.blender_addon.uv_measure.layouts import Surface, full
from tests.pgc import needs

pytestmark = pytest.mark.usefixtures("coarse_uv_measure")


@pytest.fixture
def tiling_obj(tmp_path):
    surface = Surface().box(uv=full)
    lines = [f"v {x} {y} {z}" for quad in surface.quads for x, y, z in quad.tolist()]
    lines += [f"vt {u} {v}" for quad in surface.uvs for u, v in quad.tolist()]
    lines += [
        "f " + " ".join(f"{4 * face + corner}/{4 * face + corner}" for corner in (1, 2, 3, 4)) for face in range(6)
    ]
    path = tmp_path / "box.obj"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def prepared(path, **more):
    request = TextureArguments(mesh=str(path), prompt="red", **more).to_request()
    return load_prepared(request, lambda stage, fraction: None)


@pytest.mark.slow
def test_the_verdict_is_a_table_with_a_picture(tiling_obj, tmp_path):
    result = run("uvs", tiling_obj, "--picture", tmp_path / "layout.png", "--texture-size", 1000)
    assert result.exit_code == 0, result.stderr
    rows = dict(line.split("  ", 1) for line in result.stdout.splitlines())
    assert rows["Verdict"].strip() == "UVs repeat over the surface"
    assert rows["Surface that repeats texels"].strip() == "100.0%"
    assert rows["Places a texel serves"].strip() == "6.0 (most: 6)"
    assert rows["Texels a unit, texture of 1000"].strip() == "median 1,000, least 1,000"
    with Image.open(tmp_path / "layout.png") as image:
        assert image.size == (1024, 1024)
        assert np.median(np.asarray(image), axis=(0, 1)).tolist() == [214, 39, 40]


def test_a_mesh_without_uvs_has_no_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    result = run("uvs", "a.obj")
    assert (result.exit_code, "The mesh has no UVs" in result.stdout) == (0, True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.obj"]
    assert run("uvs", "nowhere.obj").exit_code == 2


@pytest.mark.slow
@needs.XATLAS
def test_a_run_takes_a_new_map_unless_told_or_given_images(tiling_obj, red_texture):
    assert prepared(tiling_obj).report.uvs.done == "new"
    assert prepared(tiling_obj, keep_uvs=True).report.uvs.done == "kept"
    assert prepared(tiling_obj, init_texture=str(red_texture)).report.uvs.done == "kept", "the image is in these UVs"
    with pytest.raises(ConfigError, match=r"--unwrap .* --keep-uvs"):
        prepared(tiling_obj, unwrap=True, keep_uvs=True)


@pytest.mark.slow
@needs.XATLAS
def test_a_server_gets_the_new_uvs(tiling_obj):
    given = TextureArguments(mesh=str(tiling_obj), prompt="red")
    mesh = prepared(tiling_obj)
    job = remote_job(given, given.to_request(), mesh, SourceTextures())
    sent = job.arrays[job.spec.meshes[0].corner_uvs.sha256]
    np.testing.assert_array_equal(sent, triangulate(mesh.mesh).corner_uvs)
    assert np.ptp(sent, axis=(0, 1)).max() <= 1.0


@pytest.mark.slow
@needs.XATLAS
@pytest.mark.parametrize(("judged", "done"), [(True, "new"), (False, "kept")])
def test_a_finished_run_is_read_with_the_uvs_that_it_had(tiling_obj, tmp_path, monkeypatch, judged, done):
    report = plain(prepared(tiling_obj).report)
    if not judged:
        # As runs wrote it that took every mesh's UVs as they were.
        del report["uvs"]
    arguments = TextureArguments(mesh=str(tiling_obj), prompt="red").given()
    content = RunReport(
        state="finished", arguments=arguments, resolved={}, seed=0, steps_done=1, device="cpu", mesh={"report": report}
    )
    write_report(tmp_path / "run.json", content)
    monkeypatch.setattr("pgc.export.material.read_maps", lambda folder, tiles: None)
    mesh, _ = load_run(tmp_path)
    assert mesh.report.uvs.done == done
