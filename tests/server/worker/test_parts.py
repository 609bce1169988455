# SPDX-License-Identifier: Apache-2.0
"""The parts of a worker, one by one."""

from __future__ import annotations

import errno
import json
import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from blender_addon.protocol.errors import ErrorCode, ProtocolError, Retry
from blender_addon.protocol.messages import ModelInfo
from pgc.cameras import Camera
from pgc.errors import GuidanceError, MeshError
from pgc.guidance.control_specs import ControlSpec, ControlWish
from pgc.guidance.diffusion.memory.savings import MemorySavings
from pgc.guidance.specs import OracleSpec, PocketSpec, parse_guidance
from pgc.mesh import Normalization, load_mesh, prepare_mesh
from pgc.mesh.tangents import corner_tangents
from pgc.runs.memory.errors import is_broken_context, is_out_of_memory
from pgc.runs.request import SourceTextures
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import resolve
from pgc.texture.field import to_uint8_values
from pgc.texture.material_field import MaterialField, MaterialFieldConfig, normal_from_slopes
from pgc.texture.texel_pyramid import TexelPyramidConfig
from server.children.log import JsonLines
from server.children.messages import Run, Stop
from server.errors import BlobError
from server.recipes.added import told_by_names
from server.recipes.cameras import FixedViews, normalized_camera
from server.recipes.meshes import MeshArrays, assemble, keep_untextured, untextured_texels
from server.worker import main as worker_main
from server.worker.checkpoints import Cadence
from server.worker.failures import is_disk_full, wire_error, without_paths
from server.worker.model_store import ModelStore
from server.worker.previews import Throttle, preview_tiles
from server.worker.priors import Priors, model_states
from server.worker.tools import Ending, JobOutcome, Pace


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


# Failures


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/artist/models/unet/config.json is missing.", "config.json is missing."),
        (r"C:\Users\artist\x.safetensors is damaged", "x.safetensors is damaged"),
        ("see https://huggingface.co/owner/model now", "see https://huggingface.co/owner/model now"),
        ("run: hf download owner/model", "run: hf download owner/model"),
        ("1/2 of 3/4", "1/2 of 3/4"),
    ],
)
def test_folders_of_the_server_stay_on_the_server(text, shown):
    assert without_paths(text) == shown


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MeshError("bad"), ErrorCode.INPUT_INVALID),
        (GuidanceError("gone"), ErrorCode.MODEL_REFUSED),
        (BlobError("Blob abc is not in the store"), ErrorCode.INPUT_MISSING_BLOB),
        (OSError(errno.ENOSPC, "No space left on device"), ErrorCode.RES_DISK),
        (ZeroDivisionError("x"), ErrorCode.INTERNAL),
    ],
)
def test_every_error_has_its_code(error, code):
    assert wire_error(error).code is code


def test_causes_are_looked_through():
    def nested(inner):
        try:
            try:
                raise inner
            except Exception as error:
                raise ValueError("outside") from error
        except ValueError as error:
            return error

    assert is_disk_full(nested(OSError(errno.ENOSPC, "full")))
    assert not is_disk_full(nested(OSError(errno.EACCES, "no")))
    assert is_out_of_memory(nested(torch.OutOfMemoryError("CUDA out of memory")))
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"))
    assert is_broken_context(nested(RuntimeError("CUDA error: unspecified launch failure")))
    assert not is_broken_context(torch.OutOfMemoryError("CUDA error: out of memory"))


def test_log_lines_are_json_with_what_is_known():
    record = logging.LogRecord("server.x", logging.WARNING, __file__, 1, "step %d", (3,), None)
    record.job = "abc"
    line = json.loads(JsonLines().format(record))
    assert line["msg"] == "step 3"
    assert line["job"] == "abc"
    assert line["lvl"] == "warning"
    assert "err_id" not in line


# Previews


def small_material(cube_obj, **changes):
    triangles = prepare_mesh(load_mesh(cube_obj)).triangles
    return MaterialField(triangles, MaterialFieldConfig(**changes), TexelPyramidConfig(texture_size=64))


def test_previews_show_the_wanted_maps_of_a_material(cube_obj):
    material = small_material(cube_obj)
    tiles = {tile.map: tile for tile in preview_tiles(material, 16, ("base_color", "roughness", "normal", "occlusion"))}
    assert {name: (tile.side, tile.channels) for name, tile in tiles.items()} == {
        "base_color": (16, 3),
        "roughness": (16, 1),
        "normal": (16, 3),
    }
    # Flat, as an image file holds it.
    assert set(tiles["normal"].pixels[2::3]) == {255}
    assert set(tiles["normal"].pixels[0::3]) == {128}
    assert tiles["normal"].tile == 1001
    assert len(tiles["roughness"].pixels) == 16 * 16
    assert [tile.map for tile in preview_tiles(material, 16)] == ["base_color"]


def test_a_preview_of_slopes_is_the_normal_that_is_baked(cube_obj):
    material = small_material(cube_obj)
    with torch.no_grad():
        material.pyramid.details["slope_2"].copy_(torch.linspace(-0.3, 0.3, 2 * 16 * 16).view(1, 2, 16, 16))
    [shown] = preview_tiles(material, 16, ("normal",))
    expected = to_uint8_values(normal_from_slopes(material.texels("slope", 2))[0]).permute(1, 2, 0)
    assert shown.pixels == expected.detach().contiguous().numpy().tobytes()


# Tangents


def two_triangles(**more):
    return MeshArrays(
        name="a",
        positions=np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 1)], np.float32),
        faces=np.array([(0, 1, 2), (0, 2, 3)], np.int32),
        corner_uvs=np.array([[(0.1, 0.1), (0.4, 0.1), (0.4, 0.4)], [(0.5, 0.5), (0.9, 0.5), (0.9, 0.9)]], np.float32),
        **more,
    )


@pytest.mark.slow
def test_tangents_of_the_job_are_those_of_the_run():
    given = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    assert assemble([two_triangles()]).triangles.corner_tangents is None
    both = assemble([two_triangles(corner_tangents=given), two_triangles()]).triangles
    assert both.corner_tangents is not None
    assert np.array_equal(both.corner_tangents[:2], given)
    # Those of the mesh that brings none are computed.
    assert np.array_equal(both.corner_tangents[2:], corner_tangents(both)[2:])


# Plans and paces


def test_checkpoints_take_a_twentieth_of_the_time_at_most():
    clock = Clock()
    cadence = Cadence(20.0, clock=clock)
    assert not cadence.is_due(1)
    clock.now += 20.0
    assert cadence.is_due(2)
    cadence.written(3.0)
    clock.now += 59.0
    assert not cadence.is_due(3)
    clock.now += 1.0
    assert cadence.is_due(4)


def test_no_more_than_the_interval_is_ever_at_stake():
    clock = Clock()
    cadence = Cadence(20.0, clock=clock)
    state_of, safe_at, write = clock.now, [], 0.5
    for step in range(1, 40):
        clock.now += 3.0
        if cadence.is_due(step):
            reached = clock.now
            clock.now += write
            cadence.written(write)
            safe_at.append(clock.now - state_of)
            state_of = reached
    assert len(safe_at) >= 5
    assert max(safe_at) <= 20.0
    # No more often than that takes.
    assert min(safe_at) > 20.0 - 2 * 3.0 - write


def test_previews_come_at_once_then_as_asked_or_as_is_cheap():
    clock = Clock()
    throttle = Throttle(0.5, clock)
    assert throttle.is_due()
    throttle.made(0.01)
    clock.now += 0.48
    assert not throttle.is_due()
    clock.now += 0.02
    assert throttle.is_due()
    throttle.made(1.0)
    clock.now += 9.0
    assert not throttle.is_due()


# Cameras


@pytest.mark.parametrize("orthographic", [False, True])
def test_a_camera_sees_the_normalised_mesh_as_it_sees_the_mesh(orthographic):
    eye, target = (7.0, -3.0, 2.0), (1.0, 2.0, 0.5)
    camera = (
        Camera.orthographic(eye, target, height=3.0, aspect=1.5)
        if orthographic
        else Camera.look_at(eye, target, fov_y=0.7, aspect=1.5)
    )
    normalization = Normalization(scale=0.37, center=(1.0, 2.0, 0.25), up_axis="z")
    points = np.random.default_rng(0).normal(size=(20, 3)) + np.array(target)
    there = camera.project(points)
    here = normalized_camera(camera, normalization).project(normalization.to_normalized(points))
    np.testing.assert_allclose(here, there, atol=1e-5)


def test_a_rig_shows_each_view_once_before_any_twice():
    cameras = tuple(Camera.look_at((float(i + 2), 0.0, 0.0), fov_y=0.5) for i in range(3))
    drawn = FixedViews(cameras).sample(7, np.random.default_rng(0))
    assert len(drawn) == 7
    assert {id(camera) for camera in drawn[:3]} == {id(camera) for camera in cameras}
    assert {id(camera) for camera in drawn[3:6]} == {id(camera) for camera in cameras}


# Meshes


def quad(shift: float, u: float, **more) -> MeshArrays:
    """Two triangles in the plane z = 0; UVs fill the left (u = 0) or right (u = 0.5) half of the texture."""
    positions = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32) + np.float32([shift, 0, 0])
    corners = np.float32([[u, 0.0], [u + 0.5, 0.0], [u + 0.5, 1.0], [u, 1.0]])
    faces = np.int32([[0, 1, 2], [0, 2, 3]])
    return MeshArrays(name="quad", positions=positions, faces=faces, corner_uvs=corners[faces], **more)


def test_several_meshes_share_a_texture():
    prepared = assemble([quad(0.0, 0.0), quad(2.0, 0.5, material_index=np.int32([1, 1]))])
    assert prepared.triangles.faces.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]
    assert prepared.triangles.material_index.tolist() == [0, 0, 1, 1]
    assert prepared.report.overlap_fraction == 0.0
    assert prepared.mesh.name == "quad and 1 more"


@pytest.mark.slow
def test_slots_of_several_meshes_are_told_apart_without_gaps():
    """The highest slot that the gate lets through, in every mesh: names and regions are as many as are used."""
    highest = np.int32([0, 32767])
    meshes = [quad(2.0 * at, 0.0, material_index=highest) for at in range(3)]
    prepared = assemble(meshes)
    assert prepared.triangles.material_index.tolist() == [0, 1, 2, 3, 4, 5]
    assert len(prepared.mesh.material_names) == 6
    alone = assemble(meshes[:1])
    assert alone.triangles.material_index.tolist() == [0, 32767]


def test_faces_without_texture_keep_their_texels():
    meshes = [quad(0.0, 0.0, textured=np.array([True, True])), quad(2.0, 0.5, textured=np.array([False, False]))]
    prepared = assemble(meshes)
    masks = untextured_texels(meshes, prepared, 16)
    assert masks is not None
    (mask,) = masks
    assert not mask[:, :8].any()
    assert mask[:, 8:].all()
    sources = keep_untextured(SourceTextures(), meshes, prepared, TexelPyramidConfig(texture_size=16))
    assert sources.initial.maps["base_color"][0].unique().tolist() == [0.5]
    assert torch.equal(sources.lock_mask[0], mask)


def test_all_faces_textured_is_the_same_as_nothing_said():
    everything = [quad(0.0, 0.0, textured=np.array([True, True]))]
    assert untextured_texels(everything, assemble(everything), 16) is None
    assert untextured_texels([quad(0.0, 0.0)], assemble([quad(0.0, 0.0)]), 16) is None


def test_no_face_to_texture_is_an_error():
    nothing = [quad(0.0, 0.0, textured=np.array([False, False]))]
    with pytest.raises(MeshError, match="No face"):
        untextured_texels(nothing, assemble(nothing), 16)
    with pytest.raises(MeshError, match="no mesh"):
        assemble([])


# Priors


def test_a_prior_stays_loaded_until_another_one_or_the_end(tmp_path):
    loaded = []

    def load(spec, device, cache_dir):
        loaded.append(spec)
        return object()

    priors, cpu = Priors(ModelStore(tmp_path), load), torch.device("cpu")
    first = priors.get(PocketSpec(), cpu)
    assert priors.get(PocketSpec(), cpu) is first
    assert priors.is_warm
    priors.get(OracleSpec(), cpu)
    assert priors.get(PocketSpec(), cpu) is not first
    assert len(loaded) == 3
    priors.free()
    assert not priors.is_warm


def test_settings_that_are_not_in_the_weights_load_nothing(tmp_path, monkeypatch):
    loaded, spec = [], PocketSpec()

    def load(spec, device, cache_dir):
        loaded.append(spec)
        return ("loaded", len(loaded), spec)

    monkeypatch.setattr("server.worker.priors.retuned", lambda guidance, spec: (*guidance[:2], spec))
    priors, cpu = Priors(ModelStore(tmp_path), load), torch.device("cpu")
    # An artist's afternoon: lit maps and back, a stronger control, views one by one, smaller pictures.
    runs = [
        spec.run,
        replace(spec.run, control_scale=0.5),
        replace(spec.run, sequential_guidance=True),
        replace(spec.run, memory=MemorySavings(rows=1)),
        replace(spec.run, image_size=96),
    ]
    wishes = [replace(spec, prompt_suffix=suffix, run=run) for run in runs for suffix in (", flat lighting", ", lit")]
    assert [priors.get(wish, cpu) for wish in wishes] == [("loaded", 1, wish) for wish in wishes]
    # Other weights: another precision, another place.
    for run in (replace(spec.run, vae_dtype="bfloat16"), replace(spec.run, memory=MemorySavings(streamed=True))):
        priors.get(replace(spec, run=run), cpu)
    assert len(loaded) == 3
    priors.get(replace(spec, source=str(tmp_path)), cpu)
    assert len(loaded) == 4


def test_a_prior_that_could_not_be_retuned_is_not_used_again(tmp_path, monkeypatch):
    loaded, spec = [], PocketSpec()

    def load(spec, device, cache_dir):
        loaded.append(spec)
        return ("loaded", len(loaded))

    def fails(guidance, spec):
        raise GuidanceError("A setting does not fit.")

    monkeypatch.setattr("server.worker.priors.retuned", fails)
    priors, cpu = Priors(ModelStore(tmp_path), load), torch.device("cpu")
    assert priors.get(spec, cpu) == ("loaded", 1)
    with pytest.raises(GuidanceError):
        priors.get(replace(spec, prompt_suffix=", lit"), cpu)
    assert not priors.is_warm
    assert priors.get(spec, cpu) == ("loaded", 2), "half of the other's settings may be in the first one"


def test_a_model_that_is_not_there_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("server.worker.priors.is_model_installed", lambda model, cache_dir=None: False)
    spec = replace(parse_guidance("sdxl"), controlnet=None)
    with pytest.raises(ProtocolError) as caught:
        Priors(ModelStore(tmp_path)).get(spec, torch.device("cpu"))
    assert (caught.value.error.code, caught.value.error.retry) == (ErrorCode.MODEL_MISSING, Retry.CHANGED)
    assert "pgc-server models pull sdxl" in caught.value.error.hint
    assert ModelInfo("sdxl", "missing") in model_states(ModelStore(tmp_path))


def test_a_controlnet_that_is_not_there_names_its_field(tmp_path, monkeypatch):
    monkeypatch.setattr("server.worker.priors.is_model_installed", lambda model, cache_dir=None: cache_dir is None)
    spec, _ = resolve(RunChoices(controls=("depth=1", "edges=0.5")), parse_guidance("sd15"))
    monkeypatch.setattr("server.worker.priors.is_installed", lambda source, parts, cache_dir=None: False)
    with pytest.raises(ProtocolError) as caught:
        Priors(ModelStore(tmp_path)).get(spec, torch.device("cpu"))
    assert (caught.value.error.code, caught.value.error.retry) == (ErrorCode.MODEL_MISSING, Retry.CHANGED)
    assert caught.value.error.field == "conditions.controls"
    assert "hf download lllyasviel/control_v11p_sd15_canny" in caught.value.error.hint


@pytest.mark.parametrize("is_there", [False, True])
def test_where_the_owners_files_are_no_client_hears(tmp_path, monkeypatch, is_there, caplog):
    """Neither of a folder that has a name, nor of the server's own models."""
    monkeypatch.setattr("server.worker.priors.is_model_installed", lambda model, cache_dir=None: True)
    monkeypatch.setattr(ModelStore, "changed_files", lambda self, key: [])
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    controls = (ControlSpec(wish=ControlWish(kind="normal", scale=1.0), source=str(folder)),) if is_there else ()
    spec, _ = resolve(RunChoices(controls=("edges=0.5",)), parse_guidance("sd15"))
    with pytest.raises(ProtocolError) as caught:
        Priors(ModelStore(tmp_path)).get(replace(spec, controls=controls or spec.controls), torch.device("cpu"))
    error = caught.value.error
    assert (error.code, error.field) == (ErrorCode.MODEL_MISSING, "conditions.controls")
    assert str(tmp_path) not in f"{error.text} {error.hint}"
    assert (f"{folder} holds no weights" in caplog.text) is is_there


def test_a_sentence_names_the_file_that_it_is_about():
    named = {"/nets/normal": ("first", "normal a"), "/nets/normal-v2": ("second", "normal b")}
    for text, told in (
        ("/nets/normal-v2 holds no weights.", ("normal b holds no weights.", "second")),
        ("/nets/normal/config.json is missing.", ("normal a/config.json is missing.", "first")),
        ("Nothing is in /nets/normal.", ("Nothing is in normal a.", "first")),
        ("/nets/normal.old, /nets/normal-v3, /x/nets/normal", None),
        ("'/nets/normal-v2' or (/nets/normal)", ("'normal b' or (normal a)", "second")),
    ):
        assert told_by_names(text, named) == (told or (text, None))
    assert told_by_names("/nets", {}) == ("/nets", None)


def test_a_model_whose_files_changed_is_not_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("server.worker.priors.is_model_installed", lambda model, cache_dir=None: True)
    with pytest.raises(ProtocolError) as caught:
        Priors(ModelStore(tmp_path)).get(parse_guidance("sd15"), torch.device("cpu"))
    assert (caught.value.error.code, caught.value.error.retry) == (ErrorCode.MODEL_HASH, Retry.CHANGED)


def test_a_big_prior_is_not_loaded_beside_a_card_that_lacks_software(tmp_path, monkeypatch):
    monkeypatch.setattr("server.worker.priors.unused_accelerator", lambda: "The driver is old; update it.")
    loaded = []
    load = lambda spec, device, cache_dir: loaded.append(spec)  # noqa: E731
    monkeypatch.setattr("server.worker.priors.is_model_installed", lambda model, cache_dir=None: cache_dir is None)
    cpu = torch.device("cpu")
    with pytest.raises(ProtocolError, match=r"On the server: The driver is old; update it.*--device cpu") as refused:
        Priors(ModelStore(tmp_path), load, asked="auto").get(parse_guidance("sdxl"), cpu)
    assert (refused.value.error.code, refused.value.error.retry) == (ErrorCode.MODEL_REFUSED, Retry.CHANGED)
    assert loaded == []
    Priors(ModelStore(tmp_path), load, asked="cpu").get(parse_guidance("sdxl"), cpu)
    Priors(ModelStore(tmp_path), load, asked="auto").get(parse_guidance("pocket"), cpu)
    assert len(loaded) == 2


def test_the_end_of_a_run_is_told_before_memory_is_searched(monkeypatch):
    done: list[str] = []
    control = worker_main.Control()
    inbox = [Run("a" * 32, 1, resume=False), Stop()]

    def receive(timeout):
        message = inbox.pop(0)
        control.watch(message)
        return message

    link = SimpleNamespace(receive=receive, send=lambda message: done.append(type(message).__name__))
    monkeypatch.setattr(worker_main, "run_job", lambda *run: JobOutcome(Ending.CANCELLED))
    monkeypatch.setattr(worker_main, "release_cached_memory", lambda: done.append("release"))
    monkeypatch.setattr(worker_main.gc, "freeze", lambda: done.append("freeze"))
    assert worker_main._loop(link, control, None, None) == 0
    assert done == ["freeze", "WorkerCancelled", "release"]


def test_time_left_goes_by_the_work_and_not_by_the_number_of_steps(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("server.worker.tools.time", SimpleNamespace(monotonic=lambda: clock[0]))
    pace = Pace(0.5)
    clock[0] += 10.0
    assert pace.seconds_left(SimpleNamespace(step=1, steps=100, share=0.5)) is None
    assert pace.seconds_left(SimpleNamespace(step=2, steps=100, share=0.75)) == pytest.approx(10.0)
    assert pace.seconds_left(SimpleNamespace(step=100, steps=100, share=1.0)) == 0.0
