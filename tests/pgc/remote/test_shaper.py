# SPDX-License-Identifier: Apache-2.0
"""`pgc shape`, `pgc imagine` and `pgc image` with --server, against a small server in this process that finishes every
job at once."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from blender_addon import client as wire
from blender_addon.protocol.arrays import DType
from blender_addon.protocol.meshes import PreviewMesh, ResultMesh
from blender_addon.protocol.records import JobResult, MapFile
from pgc.errors import ConfigError
from pgc.images.maps import encode_png
from pgc.mesh import load_mesh, triangulate
from pgc.optimization.config import Prompt
from pgc.remote.events import JobEvents, RemoteError
from pgc.remote.following import RemoteHooks, RemoteRun, follow
from pgc.remote.job import JobArrays
from pgc.remote.shape_files import RemoteShapeFiles
from pgc.remote.shape_job import SentMesh, ShapeWish, shape_job
from pgc.runs.folder import RunFolder
from tests.blender_addon.client.fake_server import serving
from tests.blender_addon.client.harness import result_of, sha

CONFIG = {"steps_done": 3, "device": "cpu", "resolved": {"guidance": {"type": "PocketSpec"}, "settings": {}}}


def result_with(mesh):
    """A result as a server has it, and its files by hash."""
    files, store = [], {sha(config := json.dumps(CONFIG).encode()): config}
    for name, array in mesh.arrays().items():
        height, width, channels = array.shape
        dtype = DType.I32 if array.dtype.kind == "i" else DType.F32
        data = array.tobytes()
        store[sha(data)] = data
        files.append(MapFile(name, 1001, width, height, channels, dtype, "linear", "raw", sha(data), len(data)))
    return JobResult(maps=tuple(files), config_json_sha256=sha(config), seconds=1.0, warnings=("A word.",)), store


def answer(server, mesh):
    """Makes a running server's next job end with this mesh."""
    server.result, store = result_with(mesh)
    server.blobs.update(store)


def tetrahedron():
    positions = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], np.int32)
    return ResultMesh(positions=positions, faces=faces, corner_colors=np.full((4, 3, 3), 0.25, np.float32))


def test_a_mesh_goes_out_turned_and_comes_back_in_the_files_own_space(cube_obj):
    mesh = load_mesh(cube_obj)
    sent = SentMesh(mesh=mesh, triangles=triangulate(mesh))
    arrays = JobArrays()
    spec = sent.spec(arrays)
    positions = arrays.by_hash[spec.positions.sha256]
    # OBJ is Y-up: (x, y, z) becomes (x, -z, y).
    assert np.array_equal(positions, (mesh.positions * [1, 1, -1])[:, [0, 2, 1]].astype(np.float32))
    faces = arrays.by_hash[spec.faces.sha256]
    colors = np.random.default_rng(0).random((len(positions), 3)).astype(np.float32)
    moved = ResultMesh(positions=positions + np.float32(0.5), faces=faces, corner_colors=colors[faces])
    back = sent.back(moved)
    assert np.allclose(back.positions, mesh.positions + np.array([0.5, 0.5, -0.5]))
    assert np.array_equal(back.polygon_sizes, mesh.polygon_sizes)
    assert np.array_equal(back.uvs, mesh.uvs)
    assert np.allclose(back.colors[:, :3], colors)
    other = sent.back(tetrahedron())
    assert np.array_equal(other.positions[3], [0, 1, 0])
    assert (other.polygon_sizes == 3).all()
    assert other.uvs is None


@pytest.mark.slow
def test_a_shape_comes_into_the_same_folder_as_ever_and_is_followed_again(pgc, cube_obj, tmp_path):
    out, words = tmp_path / "out", ["shape", cube_obj, "--prompt", "a stone", "--steps", 3, "--seed", 5]
    with serving(tmp_path / "connection.json") as server:
        mesh = load_mesh(cube_obj)
        sent, arrays = SentMesh(mesh=mesh, triangles=triangulate(mesh)), JobArrays()
        sent.spec(arrays)
        turned = triangulate(mesh).positions @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)
        moved = ResultMesh(positions=(1.5 * turned).astype(np.float32), faces=sent.triangles.faces)
        answer(server, moved)
        told = pgc(*words)
        assert told.exit_code == 0, told.stderr
        again = pgc(*words, "--resume")
        assert again.exit_code == 0, again.stderr
    assert {path.name for path in out.iterdir()} == {"shape.glb", "shape.obj", "shape.mtl", "preview.png", "run.json"}
    found = load_mesh(out / "shape.obj")
    assert np.allclose(found.positions, 1.5 * mesh.positions)
    assert np.array_equal(found.polygon_sizes, mesh.polygon_sizes)
    report = json.loads((out / "run.json").read_text())
    assert (report["format"], report["state"], report["steps_done"]) == ("pgc-shape-1", "finished", 3)
    assert report["warnings"] == ["A word."]
    assert report["mesh"]["file"] == "cube.obj"
    first, second = server.submitted
    assert first.key == second.key == report["server"]["key"]
    assert first.spec == second.spec
    assert first.spec.settings == wire.SettingsSpec(seed=5, steps=3)
    assert (first.spec.guidance.model, first.spec.maps) == ("pocket", ("shape",))


@pytest.mark.slow
def test_a_picture_travels_as_its_file_or_as_what_the_reader_sees(pgc, picture, cube_obj, tmp_path):
    with serving(tmp_path / "connection.json") as server:
        answer(server, tetrahedron())
        for words in ([], ["--volume"], ["--from", cube_obj]):
            told = pgc("image", picture, "--overwrite", *words)
            assert told.exit_code == 0, told.stderr
        Image.open(picture).convert("P").save(foreign := picture.with_suffix(".gif"))
        told = pgc("image", foreign, "--overwrite", "--guidance", "pocket", "--prompt", "a mug", "--elevation", 10)
        assert told.exit_code == 0, told.stderr
    jobs = [message.spec for message in server.submitted]
    assert [(job.shape.geometry, len(job.meshes)) for job in jobs] == [
        ("dmtet", 0), ("volume", 0), ("offsets", 1), ("dmtet", 0),
    ]  # fmt: skip
    assert server.blobs[jobs[0].shape.picture.file.sha256] == picture.read_bytes()
    assert (jobs[0].guidance.model, jobs[0].prompt.text) == ("zero123", "")
    last = jobs[-1].shape.picture
    assert (last.elevation, last.name, last.width, last.height) == (10.0, "mug.gif", 30, 40)
    assert server.blobs[last.file.sha256].startswith(b"\x89PNG")
    report = json.loads((tmp_path / "out" / "run.json").read_text())
    assert report["picture"]["file"] == "mug.gif"


@pytest.mark.slow
def test_a_volume_comes_first_and_then_its_texture(pgc, tmp_path, monkeypatch):
    # Thirty pictures all round, of which nothing is asked here.
    monkeypatch.setattr("pgc.runs.folder.render_turntable", lambda *_arguments: b"turntable")
    out, small = tmp_path / "out", ["--texture-steps", 2, "--texture-size", 32, "--steps", 1]
    png = encode_png(torch.full((3, 32, 32), 9, dtype=torch.uint8))
    with serving(tmp_path / "connection.json") as server:
        answer(server, tetrahedron())
        mesh, (texture, store) = server.result, result_of({"base_color": png})
        server.blobs.update(store)
        # As a texture has it, with the sides of this one.
        [file] = texture.maps
        texture = JobResult(
            (MapFile("base_color", 1001, 32, 32, 3, DType.U8, "srgb", "png", file.sha256, len(png)),),
            texture.config_json_sha256, 1.0, (),
        )  # fmt: skip
        plain = server._replies

        def replies(request):
            told = server.submitted[-1].spec if server.submitted else None
            server.result = texture if told is not None and told.maps == ("base_color",) else mesh
            return plain(request)

        server._replies = replies
        told = pgc("imagine", "a red vase", *small)
        assert told.exit_code == 0, told.stderr
        first = [message.key for message in server.submitted]
        again = pgc("imagine", "a red vase", *small, "--resume")
        assert again.exit_code == 0, again.stderr
        assert [message.key for message in server.submitted[2:]] == first, "both jobs are followed, and none is new"
    assert (out / "imagined.glb").read_bytes() == (out / "texture" / "textured.glb").read_bytes()
    assert "imagined.glb" in told.stderr
    report = json.loads((out / "run.json").read_text())
    assert report["format"] == "pgc-volume-1"
    assert {"volume.glb", "imagined.glb", "texture/base_color.png"} <= set(report["files"])
    volume, texture = (message.spec for message in server.submitted[:2])
    assert (volume.shape.geometry, volume.meshes, texture.prompt.text) == ("volume", (), "a red vase")
    assert texture.settings.texture_size == 32


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["shape", "CUBE", "--prompt", "x", "--device", "cpu"], "--device is the server's own"),
        (["shape", "CUBE", "--prompt", "x", "--preset", "pgc3d/rgb-sds"], "No server takes --preset yet"),
        (["shape", "CUBE", "--prompt", "x", "--control", "depth"], "No server takes --control yet"),
        (["shape", "CUBE", "--prompt", "x", "--guidance", "./weights"], "name a model that the server has"),
        (["shape", "CUBE", "--prompt", "x", "--loss", "normal"], "never seen a picture of normals"),
        (["shape", "nowhere.obj", "--prompt", "x"], "There is no file nowhere.obj"),
        (["shape", "CUBE", "--prompt", "x", "--cubes", "9"], "Offsets have no grid"),
        (["imagine", "a vase", "--start", "ball"], "No server takes --start yet"),
        (["imagine", "a vase", "--start", ""], "No server takes --start yet"),
        (["imagine", "a vase", "--triangles", "0"], "No server takes --triangles yet"),
        (["imagine", "a vase", "--latents-until", "0"], "no connection file"),
        (["shape", "CUBE", "--prompt", "x", "--loss", ""], "The server takes no such job"),
        (["shape", "CUBE", "--prompt", "x", "--guidance", ""], "name a model that the server has"),
        (["shape", "CUBE", "--prompt", "x", "--control", ""], "No server takes --control yet"),
        (["image", "MUG", "--prompt", "x"], "reads no prompt"),
        (["image", "MUG", "--elevation", "85"], "elevation"),
        (["image", "nowhere.png"], "There is no file nowhere.png"),
        (["image", "CUBE"], "cannot be read as an image"),
        (["image", "MUG"], "no connection file"),
        (["image", "MUG", "--resume"], "was not a run on a server"),
    ],
)
def test_what_no_server_does_is_one_sentence_before_anything_is_made(pgc, cube_obj, picture, tmp_path, words, says):
    named = {"CUBE": str(cube_obj), "MUG": str(picture)}
    told = pgc(*(named.get(word, word) for word in words))
    assert told.exit_code == 2
    assert says in " ".join(told.stderr.split())
    assert "Traceback" not in told.output
    assert not list((tmp_path / "out").glob("*.glb"))


def files_in(folder):
    return RemoteShapeFiles(folder=RunFolder(folder), kind="shape", sent=None, asked={}, server={"key": "k"})


def test_a_run_of_other_choices_is_not_mistaken_for_this_one(tmp_path):
    error = wire.WireError(wire.ErrorCode.INPUT_CONFLICT, wire.Retry.NEVER, "Another job has been sent with this key.")

    class Refused(JobEvents):
        """The news of a job that was refused, without a connection."""

        def __init__(self):
            """Has none."""

        def next(self, key, timeout):
            return wire.JobFailed(None, key, error)

    with pytest.raises(RemoteError, match="another file, prompt or choice"):
        follow(Refused(), RemoteRun(key="k", files=files_in(tmp_path)), RemoteHooks())


def test_a_preview_is_drawn_now_and_then(tmp_path):
    files = files_in(tmp_path)
    mesh = tetrahedron()
    event = wire.JobShapePreview("j", 1, 2, PreviewMesh(positions=mesh.positions, faces=mesh.faces))
    assert files.show(event) == tmp_path / "preview.png"
    with Image.open(tmp_path / "preview.png") as drawn:
        assert len(drawn.convert("RGB").getcolors(1 << 20)) > 3
    assert files.show(event) is None, "not so soon again"


def test_a_picture_that_no_server_takes_is_refused_before_it_is_sent(tmp_path):
    path = tmp_path / "wide.png"
    image = Image.new("RGBA", (8200, 4))
    image.paste((255, 0, 0, 255), (100, 0, 4000, 4))
    image.save(path)
    shape, none = wire.ShapeSpec(geometry="dmtet"), wire.SettingsSpec()
    wish = ShapeWish(name="x", model="zero123", prompt=Prompt(text=""), settings=none, shape=shape, picture=path)
    with pytest.raises(ConfigError, match=r"8200 x 4 pixels; expected sides of 1 to 8192"):
        shape_job(wish)
