# SPDX-License-Identifier: Apache-2.0
"""What the gate lets through, and what it says of the rest."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace

import msgpack
import numpy as np
import pytest

import server.gate.main as gate
from blender_addon.protocol.arrays import ArrayRef, DType
from blender_addon.protocol.errors import ErrorCode
from blender_addon.protocol.specs import mesh_checks
from blender_addon.protocol.specs.job import (
    CameraRigSpec,
    CameraSpec,
    ConditionsSpec,
    LightingSpec,
    ModelSpec,
    ReferenceSpec,
    TileImage,
)
from blender_addon.protocol.specs.mesh_checks import Passed
from blender_addon.protocol.structure import to_wire
from server.gate import validation
from server.gate.main import Caps, judge

EYE = tuple(np.eye(4).reshape(-1).tolist())


@pytest.fixture(autouse=True, params=["mapped", "read in pieces"])
def way_of_reading(request, monkeypatch):
    if request.param != "mapped":
        monkeypatch.setattr(validation, "_MAPPED", 0)


def verdict(job, caps=None, passed=None):
    return judge(job.paths, job.store, job.name, caps or Caps(), passed)


def with_mesh(job, passed=None, **changes):
    job.write(replace(job.spec, meshes=(replace(job.spec.meshes[0], **changes),)))
    return verdict(job, passed=passed)


def test_a_good_job_passes(stored_job):
    assert verdict(stored_job) is None


def test_an_index_beyond_the_vertices_is_named_with_its_path(stored_job, arrays):
    faces = arrays.read(stored_job.spec.meshes[0].faces).copy()
    faces[7, 1] = 90412
    error = with_mesh(stored_job, faces=stored_job.put(faces))
    assert error.code is ErrorCode.INPUT_INVALID
    assert error.field.startswith("meshes[0].faces[7]")
    assert "90412" in error.text


@pytest.mark.parametrize("index", [-1, -(2**31), 2**31 - 1])
def test_extreme_indices_are_refused(stored_job, arrays, index):
    faces = arrays.read(stored_job.spec.meshes[0].faces).copy()
    faces[0, 0] = index
    assert with_mesh(stored_job, faces=stored_job.put(faces)).field.startswith("meshes[0].faces[0]")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_positions_that_are_not_finite_are_refused(stored_job, arrays, value):
    positions = arrays.read(stored_job.spec.meshes[0].positions).copy()
    positions[3, 2] = value
    error = with_mesh(stored_job, positions=stored_job.put(positions))
    assert error.field.startswith("meshes[0].positions[3]")


def test_a_mesh_without_uvs_is_refused(stored_job):
    error = with_mesh(stored_job, corner_uvs=None)
    assert error.field == "meshes[0].corner_uvs"
    assert "unwrap" in error.text


def test_a_missing_blob_is_named(stored_job):
    stored_job.store.remove(stored_job.spec.meshes[0].corner_uvs.sha256)
    error = verdict(stored_job)
    assert error.code is ErrorCode.INPUT_MISSING_BLOB
    assert error.field == stored_job.spec.meshes[0].corner_uvs.sha256
    assert "meshes[0].corner_uvs" in error.text


def _flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def test_a_damaged_blob_is_set_aside_and_asked_for_again(stored_job):
    """A flipped bit in positions would give another mesh without a word."""
    store, sha256 = stored_job.store, stored_job.spec.meshes[0].positions.sha256
    whole = store.read(sha256)
    store.path(sha256).write_bytes(_flip(whole))
    error = verdict(stored_job)
    assert error.code is ErrorCode.INPUT_MISSING_BLOB
    assert error.field == sha256
    assert not store.has(sha256)
    (kept,) = stored_job.paths.quarantine.rglob(sha256)
    assert kept.read_bytes() == _flip(whole)
    store.put(whole)
    assert verdict(stored_job) is None


@pytest.fixture
def looks(monkeypatch):
    """Which checks of arrays were made, by name."""
    made = []
    for name in ("_check_numbers", "_check_faces", "_check_indices", "_check_textured", "_check_areas"):
        check = getattr(mesh_checks, name)

        def counted(*arguments, name=name, check=check):
            made.append(name)
            check(*arguments)

        monkeypatch.setattr(mesh_checks, name, counted)
    return made


def test_a_mesh_that_is_named_many_times_is_looked_at_once(stored_job, looks):
    assert verdict(stored_job) is None
    once = sorted(looks)
    looks.clear()
    mesh = stored_job.spec.meshes[0]
    stored_job.write(replace(stored_job.spec, meshes=(mesh,) * 20))
    assert verdict(stored_job) is None
    assert sorted(looks) == once


def test_what_was_checked_for_one_job_is_not_checked_for_the_next(stored_job, looks):
    passed = Passed()
    assert verdict(stored_job, passed=passed) is None
    assert looks
    looks.clear()
    stored_job.write(replace(stored_job.spec, name="another", meshes=(stored_job.spec.meshes[0],) * 3))
    assert verdict(stored_job, passed=passed) is None
    assert looks == []


def test_the_same_bytes_in_another_role_are_checked_for_that_role(stored_job, arrays):
    """Fine as normals, they are too large for UVs; fine as faces of many vertices, they point past those of few."""
    passed = Passed()
    mesh = stored_job.spec.meshes[0]
    assert verdict(stored_job, passed=passed) is None
    fewer = stored_job.put(arrays.read(mesh.positions)[:3].copy())
    stored_job.write(replace(stored_job.spec, meshes=(mesh, replace(mesh, positions=fewer))))
    assert verdict(stored_job, passed=passed).field.startswith("meshes[1].faces[")


def test_what_failed_is_checked_again(stored_job, arrays, looks):
    passed = Passed()
    faces = arrays.read(stored_job.spec.meshes[0].faces).copy()
    faces[7, 1] = 90412
    bad = stored_job.put(faces)
    for _ in range(2):
        looks.clear()
        assert with_mesh(stored_job, passed=passed, faces=bad).field.startswith("meshes[0].faces[7]")
        assert "_check_faces" in looks


def test_bytes_that_changed_on_the_disk_are_not_believed_for_what_was_checked(stored_job):
    passed = Passed()
    assert verdict(stored_job, passed=passed) is None
    store, sha256 = stored_job.store, stored_job.spec.meshes[0].faces.sha256
    store.path(sha256).write_bytes(_flip(store.read(sha256)))
    assert verdict(stored_job, passed=passed).code is ErrorCode.INPUT_MISSING_BLOB


def test_only_so_many_checks_are_remembered():
    passed, made = Passed(2), []
    for key in (1, 2, 1, 3, 1, 2):
        passed.once(key, lambda key=key: made.append(key))
    assert made == [1, 2, 3, 2]
    assert len(passed) == 2


def test_a_blob_of_another_size_is_refused(stored_job):
    mesh = stored_job.spec.meshes[0]
    longer = ArrayRef(mesh.positions.sha256, DType.F32, (mesh.positions.shape[0] + 1, 3))
    error = with_mesh(stored_job, positions=longer)
    assert error.field == "meshes[0].positions"
    assert "bytes" in error.text


@pytest.mark.parametrize(
    ("shape", "said"),
    [((24, 24, 3), "power of two"), ((32, 16, 3), "square"), ((32, 32), "expected")],
)
def test_images_must_be_square_powers_of_two_of_three_channels(stored_job, shape, said):
    image = TileImage(tile=1001, array=stored_job.put(np.zeros(shape, np.uint8)))
    stored_job.write(replace(stored_job.spec, initial_texture=(image,)))
    error = verdict(stored_job)
    assert error.field == "initial_texture[0].array"
    assert said in error.text


def test_maps_to_start_from_are_looked_at_as_base_colour_is(stored_job):
    color = TileImage(tile=1001, array=stored_job.put(np.zeros((32, 32, 3), np.uint8)))

    def said(shape):
        gray = TileImage(tile=1001, array=stored_job.put(np.zeros(shape, np.uint8)))
        beside = {"initial_texture": (color,), "initial_maps": {"roughness": (gray,)}, "maps": ("roughness",)}
        stored_job.write(replace(stored_job.spec, **beside))
        return verdict(stored_job)

    assert said((32, 32)) is None
    assert said((32, 16)).field == "initial_maps.roughness[0].array"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"maps": ("base_color", "normal"), "lighting": LightingSpec(kind="unlit")}, "lighting.kind"),
        ({"lighting": LightingSpec(kind="environments")}, "lighting.kind"),
        ({"guidance": ModelSpec(model="oracle")}, "guidance.oracle_texture"),
        ({"guidance": ModelSpec(revision="main")}, "guidance.revision"),
    ],
)
def test_what_no_worker_could_do_is_refused_at_once(stored_job, changes, field):
    stored_job.write(replace(stored_job.spec, **changes))
    error = verdict(stored_job)
    assert (error.code, error.field) == (ErrorCode.INPUT_INVALID, field)


def with_reference(job, pixels=None, *, ref=None):
    reference = ReferenceSpec(image=job.put(pixels) if ref is None else ref)
    job.write(replace(job.spec, conditions=ConditionsSpec(reference=reference)))
    return verdict(job)


def test_a_reference_must_be_there_and_show_something(stored_job, monkeypatch):
    pixels = np.zeros((9, 5, 4), np.uint8)
    pixels[..., 3] = 127
    field = "conditions.reference.image"
    assert with_reference(stored_job, pixels).field == field
    monkeypatch.setattr(validation, "_LOOKED_AT", 40)
    assert with_reference(stored_job, pixels).field == field
    pixels[8, 4, 3] = 128
    assert with_reference(stored_job, pixels) is None
    assert with_reference(stored_job, pixels[..., :3]) is None
    wrong = replace(stored_job.put(pixels), shape=(9, 6, 4))
    assert with_reference(stored_job, ref=wrong).field == field
    absent = ArrayRef("0" * 64, DType.U8, (9, 5, 3))
    assert with_reference(stored_job, ref=absent).code is ErrorCode.INPUT_MISSING_BLOB


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e7])
def test_a_colour_that_is_no_colour_is_named(stored_job, value):
    colors = np.zeros((*stored_job.spec.meshes[0].faces.shape, 3), np.float32)
    colors[3, 1, 2] = value
    error = with_mesh(stored_job, corner_colors=stored_job.put(colors))
    assert error.field == "meshes[0].corner_colors[3][1][2]"


def test_a_lock_mask_needs_its_texture(stored_job):
    mask = TileImage(tile=1001, array=stored_job.put(np.zeros((32, 32), np.uint8)))
    stored_job.write(replace(stored_job.spec, lock_mask=(mask,)))
    assert verdict(stored_job).field == "lock_mask"


def test_a_camera_that_cannot_be_inverted_is_refused(stored_job):
    flat = (*EYE[:15], 0.0)
    rig = CameraRigSpec(
        cameras=(
            CameraSpec(world_to_camera=EYE, projection=EYE),
            CameraSpec(world_to_camera=flat, projection=EYE),
        )
    )
    stored_job.write(replace(stored_job.spec, cameras=rig))
    assert verdict(stored_job).field == "cameras.cameras[1].world_to_camera"


def test_an_unknown_field_is_named(stored_job):
    plain = to_wire(stored_job.spec)
    plain["settings"]["setps"] = 5
    stored_job.paths.spec(stored_job.name).write_bytes(msgpack.packb(plain))
    error = verdict(stored_job)
    assert error.code is ErrorCode.INPUT_UNKNOWN_FIELD
    assert error.field == "settings.setps"


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\x81\xa1a" * 2000])
def test_bytes_that_are_no_specification_are_a_typed_error(stored_job, data):
    stored_job.paths.spec(stored_job.name).write_bytes(data)
    assert verdict(stored_job).code in {ErrorCode.PROTO_BAD_FRAME, ErrorCode.INPUT_INVALID}


def test_too_large_a_specification_is_not_read(stored_job):
    stored_job.paths.spec(stored_job.name).write_bytes(bytes(2 << 20))
    assert verdict(stored_job).code is ErrorCode.PROTO_TOO_LARGE


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on processor time")
def test_the_processor_time_of_a_check_is_capped(stored_job, monkeypatch):
    def work(*_):
        while True:
            pass

    monkeypatch.setattr(gate, "validate", work)
    error = verdict(stored_job, Caps(cpu=0.2))
    assert error.code is ErrorCode.PROTO_TOO_LARGE
    assert "smaller mesh" in error.text


def test_running_out_of_memory_and_unexpected_errors_are_typed(stored_job, monkeypatch, caplog):
    def no_memory(*_):
        raise MemoryError

    def broken(*_):
        raise ZeroDivisionError("secret")

    # Other tests of this process may have set up logging: what this logger says is heard at the logger itself.
    logger = logging.getLogger(gate.__name__)
    monkeypatch.setattr(logger, "disabled", False)
    monkeypatch.setattr(logger, "handlers", [*logger.handlers, caplog.handler])
    caplog.set_level(logging.ERROR, logger=gate.__name__)
    monkeypatch.setattr(gate, "validate", no_memory)
    assert verdict(stored_job).code is ErrorCode.PROTO_TOO_LARGE
    monkeypatch.setattr(gate, "validate", broken)
    error = verdict(stored_job)
    assert error.code is ErrorCode.INTERNAL
    assert "secret" not in error.text
    assert error.err_id in {getattr(record, "err_id", None) for record in caplog.records}
