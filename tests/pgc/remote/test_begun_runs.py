# SPDX-License-Identifier: Apache-2.0
"""What shapes, pictures and textures with --server leave in a folder whose run they replace or go on with."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from blender_addon import client as wire
from blender_addon.protocol.records import JobState
from pgc.cli import app
from pgc.optimization.config import Prompt
from pgc.remote.shape_job import ShapeWish
from pgc.remote.shaper import asked_of
from tests.blender_addon.client.fake_server import serving


@pytest.mark.parametrize(("name", "listed"), [("shape.obj", {}), ("mine.obj", {"mine.obj": ""}), ("preview.png", {})])
def test_what_a_run_begins_from_is_not_replaced_by_it(pgc, cube_obj, picture, tmp_path, name, listed):
    out = tmp_path / "out"
    out.mkdir()
    is_mesh = name.endswith(".obj")
    shutil.copy(cube_obj if is_mesh else picture, out / name)
    (out / "run.json").write_text(json.dumps({"format": "pgc-shape-1", "files": listed}))
    before = {path: path.read_bytes() for path in out.iterdir()}
    words = ["shape", out / name, "--prompt", "x"] if is_mesh else ["image", out / name, "--volume"]
    told = pgc(*words, "--overwrite")
    assert told.exit_code == 2
    assert "The run would replace" in " ".join(told.stderr.split())
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def reported(out, **values):
    """A folder with a report of a run on a server; returns its bytes."""
    out.mkdir()
    (out / "shape.glb").write_bytes(b"made")
    report = {"format": "pgc-shape-1", "state": "finished", "files": {"shape.glb": ""}, "server": {"key": "4" * 32}}
    (out / "run.json").write_text(json.dumps({**report, **values}))
    return (out / "run.json").read_bytes()


@pytest.mark.parametrize(
    ("code", "says"),
    [(wire.ErrorCode.INPUT_CONFLICT, "with another file, prompt"), (wire.ErrorCode.INPUT_INVALID, "No.")],
)
def test_a_refusal_leaves_the_report_of_the_run_that_was_to_go_on(pgc, cube_obj, tmp_path, code, says):
    before = reported(tmp_path / "out")
    with serving(tmp_path / "connection.json") as server:
        server.refusal = code
        told = pgc("shape", cube_obj, "--prompt", "another", "--resume")
    assert told.exit_code == 2
    assert says in " ".join(told.stderr.split())
    assert (tmp_path / "out" / "run.json").read_bytes() == before


def test_a_volume_does_not_go_on_as_a_shape(pgc, cube_obj, tmp_path):
    before = reported(tmp_path / "out", format="pgc-volume-1")
    told = pgc("shape", cube_obj, "--prompt", "x", "--resume")
    assert "is of a volume and this one of a shape" in " ".join(told.stderr.split())
    assert (tmp_path / "out" / "run.json").read_bytes() == before


def test_the_report_says_what_was_asked_for_from_the_first_moment_on(picture):
    shape = wire.ShapeSpec(geometry="dmtet", loss="both")
    wish = ShapeWish(
        name="x", model="zero123", prompt=Prompt(text=""), settings=wire.SettingsSpec(seed=2, steps=7, views=3),
        shape=shape, picture=picture, elevation=20.0,
    )  # fmt: skip
    asked = asked_of(wish)["asked"]
    wanted = {"steps": 7, "views": 3, "geometry": "dmtet", "loss": "both", "elevation": 20.0}
    assert {name: asked[name] for name in wanted} == wanted
    assert "cubes" not in asked


@pytest.mark.parametrize(
    ("refusal", "end", "says"),
    [
        (wire.ErrorCode.INPUT_INVALID, "succeeded", "No."),
        (None, "failed", "It broke."),
        (None, "cancelled", "Stopped before there was a mesh; the earlier result stays in"),
    ],
)
def test_a_run_that_comes_to_nothing_gives_back_the_one_that_it_was_to_replace(
    pgc, cube_obj, tmp_path, refusal, end, says
):
    out, before = tmp_path / "out", reported(tmp_path / "out")
    with serving(tmp_path / "connection.json") as server:
        server.refusal, server.end = refusal, JobState(end)
        told = pgc("shape", cube_obj, "--prompt", "x", "--overwrite")
    assert told.exit_code == (130 if end == "cancelled" else 2)
    assert says in " ".join(told.stderr.split())
    assert {path.name for path in out.iterdir()} == {"run.json", "shape.glb"}
    assert (out / "run.json").read_bytes() == before


def test_what_a_server_did_not_take_leaves_the_folder_empty_and_what_failed_is_not_waited_for(pgc, cube_obj, tmp_path):
    words = ("shape", cube_obj, "--prompt", "x")
    with serving(tmp_path / "connection.json") as server:
        server.refusal = wire.ErrorCode.INPUT_INVALID
        assert pgc(*words).exit_code == 2
        assert not list((tmp_path / "out").iterdir())
        server.refusal, server.end = None, JobState.FAILED
        told = pgc(*words)
        assert "It broke." in told.stderr
    again = pgc(*words, "--resume")
    assert "failed at the server; start it again with --overwrite." in " ".join(again.stderr.split())


def test_a_run_that_was_stopped_at_once_has_no_mesh(pgc, cube_obj, tmp_path):
    with serving(tmp_path / "connection.json") as server:
        server.end = JobState.CANCELLED
        told = pgc("shape", cube_obj, "--prompt", "x")
    assert "Stopped before there was a mesh; run.json is in" in " ".join(told.stderr.split())
    report = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (report["state"], report["server"]["connection"]) == ("interrupted", str(tmp_path / "connection.json"))


@pytest.mark.parametrize(("begun", "says"), [("studio.json", "begun with --connection"), (None, "your own server")])
def test_a_run_does_not_go_on_at_another_server(pgc, cube_obj, tmp_path, begun, says):
    begun = None if begun is None else str(tmp_path / begun)
    before = reported(tmp_path / "out", server={"key": "4" * 32, "connection": begun})
    told = pgc("shape", cube_obj, "--prompt", "x", "--resume")
    assert told.exit_code == 2
    assert says in " ".join(told.stderr.split())
    assert (tmp_path / "out" / "run.json").read_bytes() == before


def test_a_run_goes_on_at_the_server_that_it_was_begun_on(pgc, cube_obj, tmp_path):
    studio = tmp_path / "studio.json"
    reported(tmp_path / "out", state="running", server={"key": "4" * 32, "connection": str(studio)})
    with serving(studio) as server:
        server.end = JobState.FAILED
        told = pgc("shape", cube_obj, "--prompt", "x", "--resume", connection=None)
    assert "It broke." in told.stderr
    assert [message.key for message in server.submitted] == ["4" * 32]


def textured(cube_obj, out, **values):
    """A folder with a report of a run on a server; returns its bytes."""
    out.mkdir()
    arguments = {"mesh": str(cube_obj), "prompt": "red", "steps": 2, "texture_size": 32}
    report = {"format": "pgc-run-1", "state": "finished", "arguments": arguments, "server": {"key": "4" * 32}}
    (out / "run.json").write_text(json.dumps({**report, **values}))
    return (out / "run.json").read_bytes()


def test_a_refusal_leaves_the_report_of_a_texture_that_was_to_go_on(cube_obj, tmp_path):
    before = textured(cube_obj, tmp_path / "out")
    with serving(tmp_path / "connection.json") as server:
        server.refusal = wire.ErrorCode.INPUT_CONFLICT
        words = ["texture", "--resume", "--out", tmp_path / "out", "--connection", tmp_path / "connection.json"]
        told = CliRunner().invoke(app, [str(word) for word in words])
    assert told.exit_code == 2
    assert "with another file, prompt or choice" in " ".join(told.stderr.split())
    assert (tmp_path / "out" / "run.json").read_bytes() == before


def test_a_texture_that_failed_at_the_server_is_not_waited_for(cube_obj, tmp_path):
    textured(cube_obj, tmp_path / "out", state="failed")
    (tmp_path / "connection.json").touch()
    words = ["texture", "--resume", "--out", tmp_path / "out", "--connection", tmp_path / "connection.json"]
    told = CliRunner().invoke(app, [str(word) for word in words])
    assert "failed at the server; start it again with --overwrite." in " ".join(told.stderr.split())


def test_a_texture_goes_on_at_the_server_that_it_was_begun_on(cube_obj, tmp_path):
    studio, out = tmp_path / "studio.json", tmp_path / "out"
    textured(cube_obj, out, state="running", server={"key": "4" * 32, "connection": str(studio)})
    words = ["texture", "--resume", "--out", str(out)]
    other = CliRunner().invoke(app, [*words, "--connection", str(tmp_path / "other.json")])
    assert "is of another server; leave it out." in " ".join(other.stderr.split())
    with serving(studio) as server:
        server.end = JobState.FAILED
        told = CliRunner().invoke(app, words)
    assert "It broke." in told.stderr
    assert [message.key for message in server.submitted] == ["4" * 32]


@pytest.mark.parametrize(("end", "says"), [("failed", "It broke."), ("cancelled", "the earlier result stays in")])
def test_a_texture_that_comes_to_nothing_gives_back_the_one_that_it_was_to_replace(cube_obj, tmp_path, end, says):
    before = textured(cube_obj, tmp_path / "out")
    with serving(tmp_path / "connection.json") as server:
        server.end = JobState(end)
        words = ["texture", cube_obj, "--prompt", "red", "--overwrite", "--steps", 2, "--texture-size", 32]
        place = ["--out", tmp_path / "out", "--connection", tmp_path / "connection.json"]
        told = CliRunner().invoke(app, [str(word) for word in (*words, *place)])
    assert says in " ".join(told.stderr.split())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run.json"]
    assert (tmp_path / "out" / "run.json").read_bytes() == before


@pytest.mark.parametrize("server", [True, False])
@pytest.mark.parametrize("name", ["textured.obj", "base_color.png"])
def test_what_a_texture_begins_from_is_not_replaced_by_it(cube_obj, red_texture, tmp_path, name, server):
    out = tmp_path / "out"
    textured(cube_obj, out, files={"textured.obj": ""})
    shutil.copy(cube_obj if name.endswith("obj") else red_texture, out / name)
    before = {path: path.read_bytes() for path in out.iterdir()}
    begin = [out / name] if name.endswith("obj") else [cube_obj, "--init-texture", out / name]
    place = ["--out", out, *(["--connection", tmp_path / "nowhere.json"] if server else [])]
    words = ["texture", *begin, "--prompt", "red", "--overwrite", *place]
    told = CliRunner().invoke(app, [str(word) for word in words])
    assert told.exit_code == 2
    assert "The run would replace" in " ".join(told.stderr.split())
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_a_finished_run_that_is_fetched_again_and_stopped_stays_finished(pgc, cube_obj, tmp_path):
    before = reported(tmp_path / "out"), textured(cube_obj, tmp_path / "texture")
    with serving(tmp_path / "connection.json") as server:
        server.end = JobState.CANCELLED
        shape = pgc("shape", cube_obj, "--prompt", "x", "--resume")
        words = ["texture", "--resume", "--out", tmp_path / "texture", "--connection", tmp_path / "connection.json"]
        texture = CliRunner().invoke(app, [str(word) for word in words])
    for told, out in ((shape, tmp_path / "out"), (texture, tmp_path / "texture")):
        assert told.exit_code == 130
        assert f"Stopped; the finished result stays in {out}" in " ".join(told.stderr.split())
    assert before == tuple((tmp_path / name / "run.json").read_bytes() for name in ("out", "texture"))
