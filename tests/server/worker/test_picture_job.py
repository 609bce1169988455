# SPDX-License-Identifier: Apache-2.0
"""A job for a new object from a picture of it: what the gate says, and that a worker does what `pgc image` does."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from scipy.spatial import KDTree
from typer.testing import CliRunner

from blender_addon.protocol.errors import ErrorCode, ProtocolError
from blender_addon.protocol.meshes import read_result
from blender_addon.protocol.specs.job import (
    MeshSpec,
    ModelSpec,
    PictureSpec,
    PromptSpec,
    SettingsSpec,
    ShapeSpec,
    TextureJobSpec,
)
from pgc.cli import app
from pgc.guidance.diffusion.zero123.loading import load_zero123
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import load_guidance
from pgc.mesh import load_mesh
from pgc.shape.picture import PictureOfObject, given_picture
from server.gate.main import Caps, judge
from server.recipes import JobArrays, planner_of, prepare_mesh_job
from server.recipes.mesh_runs import VolumeRun
from server.recipes.picturing import _read
from server.worker.job import keep_job, run_job
from server.worker.model_store import ModelStore
from server.worker.priors import Priors, model_states
from server.worker.tools import Ending, JobTools
from tests.pgc.guidance.zero123_models import write_zero123

STEPS = 1
READ = {"guidance": ModelSpec(model="pocket"), "prompt": PromptSpec(text="a red mug")}


def mug(width=40, height=60):
    """A red upright ellipse before nothing, its upper half darker."""
    y, x = np.mgrid[:height, :width]
    inside = np.hypot((x - width / 2) / (0.35 * width), (y - height / 2) / (0.42 * height)) < 1.0
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[inside] = (200, 40, 20, 255)
    pixels[: height // 2, :, :3] //= 2
    return Image.fromarray(pixels)


def file_of(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return np.frombuffer(file.getvalue(), np.uint8)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A tiny Zero123 of random weights."""
    return write_zero123(tmp_path_factory.mktemp("zero123"))


@pytest.fixture(scope="module")
def guidance_for(teacher):
    held = {}

    def load(spec, device):
        if isinstance(spec, Zero123Spec):
            assert spec == Zero123Spec()
            return (
                held.setdefault("sees", None)
                or held.update(sees=load_zero123(Zero123Spec(source=str(teacher)), device))
                or held["sees"]
            )
        return load_guidance(spec, device)

    return load


@pytest.fixture
def write(stored_job):
    """Writes a job with a picture."""

    def put(file=None, size=(40, 60), **changes):
        data = file_of(mug()) if file is None else file
        picture = PictureSpec(file=stored_job.put(data), width=size[0], height=size[1], name="mug.png")
        shape = ShapeSpec(**{"geometry": "dmtet", "cubes": 8, "picture": picture, **changes.pop("shape", {})})
        fields = {
            "meshes": (),
            "prompt": PromptSpec(text=""),
            "settings": SettingsSpec(steps=STEPS, views=1, resolution=32, seed=5),
            "guidance": ModelSpec(model="zero123"),
            "maps": ("shape",),
        }
        stored_job.write(TextureJobSpec(**{**fields, **changes}, shape=shape))
        return judge(stored_job.paths, stored_job.store, stored_job.name, Caps())

    return put


@pytest.fixture
def tools(stored_job, cpu, guidance_for):
    return JobTools(
        paths=stored_job.paths,
        store=stored_job.store,
        device=cpu,
        guidance_for=guidance_for,
        send=lambda message, payload, may_be_lost: None,
        checkpoint_seconds=3600.0,
    )


def made(tools, outcome):
    assert outcome.ending is Ending.DONE, outcome.error
    return read_result({file: tools.store.read(file.sha256) for file in outcome.result.maps})


def test_the_gate_looks_at_the_file_and_its_size(write):
    assert write() is None
    error = write(size=(60, 40))
    assert (error.code, error.field) == (ErrorCode.INPUT_INVALID, "shape.picture.file")
    assert "has 40 x 60 pixels" in error.text
    assert "PNG, JPEG or WebP" in write(file=file_of(mug().convert("P"), "GIF")).text


@pytest.mark.parametrize(
    ("mode", "kind"), [("I;16", "PNG"), ("P", "PNG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "WEBP"), ("1", "PNG")]
)
def test_every_kind_of_picture_is_read_as_the_command_line_reads_it(write, stored_job, tools, tmp_path, mode, kind):
    gray = mug().getchannel("A").point(lambda value: 255 - value // 2)
    image = {
        "I;16": lambda: Image.fromarray(np.asarray(gray).astype(np.uint16) * 257),
        "RGBA": mug,
    }.get(mode, lambda: gray.convert("RGB").convert(mode))()
    file = file_of(image, kind)
    assert write(file=file) is None
    path = tmp_path / f"mug.{kind.lower()}"
    file.tofile(path)
    here = given_picture(path, PictureOfObject(), 64)
    there = _read(stored_job.spec.shape.picture, lambda ref: tools.store.path(ref.sha256), 64)
    assert torch.equal(there.view.color, here.view.color)
    assert torch.equal(there.view.covered, here.view.covered)
    assert [note.replace("mug.png", path.name) for note in there.notes] == list(here.notes)
    assert here.view.covered.max() > 0.9


def test_a_file_of_another_size_than_the_job_says_is_not_decoded(stored_job, monkeypatch):
    """Whatever a header has told the gate: what the reader sees is what is decoded."""
    ref = stored_job.put(file_of(mug(40, 60)))
    monkeypatch.setattr("server.recipes.picturing.given_picture", lambda *_: pytest.fail("it was decoded"))
    for size in ((40, 61), (60, 40)):
        given = PictureSpec(file=ref, width=size[0], height=size[1], name="mug.png")
        with pytest.raises(ProtocolError, match=r"mug\.png has 40 x 60 pixels; the job says") as refused:
            _read(given, lambda ref: stored_job.store.path(ref.sha256), 64)
        assert refused.value.error.field == "shape.picture.file"


@pytest.mark.slow
def test_a_job_gives_what_the_command_gives(write, tools, stored_job, teacher, tmp_path):
    assert write() is None
    mesh = made(tools, run_job(tools, stored_job.name, 1, resume=False))
    picture = tmp_path / "mug.png"
    mug().save(picture)
    given = ["image", picture, "--out", tmp_path / "out", "--guidance", teacher, "--device", "cpu", "--cubes", 8]
    given += ["--steps", STEPS, "--views", 1, "--resolution", 32, "--seed", 5]
    told = CliRunner().invoke(app, [str(one) for one in given])
    assert told.exit_code == 0, told.output
    here = load_mesh(tmp_path / "out" / "shape.obj")
    assert len(here.polygon_sizes) == len(mesh.faces)
    # The file is Y-up.
    apart, _ = KDTree(here.positions[:, [0, 2, 1]] * [1, -1, 1]).query(mesh.positions)
    assert apart.max() < 1e-5
    assert mesh.corner_colors is not None
    solid = trimesh.Trimesh(mesh.positions, mesh.faces)
    assert solid.is_watertight
    # The outline's: higher than wide.
    width, _, height = np.ptp(mesh.positions, axis=0)
    assert height > 1.15 * width


@pytest.mark.slow
def test_a_photograph_is_turned_and_a_mesh_may_be_the_start(write, tools, stored_job):
    sideways = mug().convert("RGB").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph = file_of(
        Image.composite(
            sideways,
            Image.new("RGB", sideways.size, "white"),
            mug().getchannel("A").transpose(Image.Transpose.ROTATE_90),
        ),
        "JPEG",
        exif=exif,
        quality=95,
    )
    assert write(file=photograph, size=(60, 40)) is None
    mesh = made(tools, run_job(tools, stored_job.name, 1, resume=False))
    width, _, height = np.ptp(mesh.positions, axis=0)
    assert height > 1.15 * width
    ball = trimesh.creation.icosphere(subdivisions=1)
    start = MeshSpec(
        name="ball",
        positions=stored_job.put(ball.vertices.astype(np.float32) + 7.0),
        faces=stored_job.put(ball.faces.astype(np.int32)),
    )
    assert write(shape={"geometry": "offsets", "cubes": None}, meshes=(start,)) is None
    mesh = made(tools, run_job(tools, stored_job.name, 3, resume=False))
    assert np.array_equal(mesh.faces, ball.faces)
    assert np.allclose(mesh.positions.mean(axis=0), 7.0, atol=0.3)


@pytest.mark.slow
def test_a_volume_is_compared_with_the_picture_too(write, stored_job, tools, guidance_for, cpu):
    assert write(shape={"geometry": "volume", "cubes": None}, **READ) is None
    arrays = JobArrays(read=None, file_of=lambda ref: tools.store.path(ref.sha256))
    run = prepare_mesh_job(stored_job.spec, arrays, cpu, guidance_for)
    assert isinstance(run, VolumeRun)
    assert run.volume.scene.reference_view is not None
    assert (run.settings.shading.lit, run.settings.optimize.steps) == (0.0, STEPS)
    assert planner_of(stored_job.spec, cpu).needs.optimize.views == 1


@pytest.mark.slow
def test_a_model_that_reads_takes_the_prompt_and_a_cancel_keeps_what_there_was(write, tools, stored_job):
    assert write(**READ) is None
    told = []
    stopping = replace(tools, send=lambda message, *_: told.append(message), is_stopping=lambda: len(told) > 1)
    assert run_job(stopping, stored_job.name, 1, resume=False).ending is Ending.STOPPED
    kept = keep_job(tools, stored_job.name, 2)
    assert kept.ending is Ending.CANCELLED
    assert len(read_result({file: tools.store.read(file.sha256) for file in kept.result.maps}).faces) > 50


@pytest.mark.slow
def test_a_picture_without_an_object_is_refused_by_its_own_name(write, tools, stored_job):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 40, 3), np.uint8))
    assert write(file=file_of(noise)) is None, "the gate decodes nothing"
    error = run_job(tools, stored_job.name, 1, resume=False).error
    assert (error.code, error.field) == (ErrorCode.INPUT_INVALID, "shape.picture.file")
    assert error.text.startswith("mug.png: The picture has no plain background")
    broken = file_of(mug())[:200]
    assert write(file=broken) is None
    error = run_job(tools, stored_job.name, 2, resume=False).error
    assert "mug.png is damaged" in error.text
    assert str(tools.store.path("0" * 64).parent) not in error.text


def test_a_server_says_whether_it_has_the_teacher(tmp_path):
    store = ModelStore(tmp_path / "models")
    assert {info.key: info.state for info in model_states(store)}["zero123"] == "missing"
    with pytest.raises(Exception, match="Zero123-XL is not installed on the server") as caught:
        Priors(store).get(Zero123Spec(), torch.device("cpu"))
    assert "pgc-server models pull zero123" in caught.value.error.hint
