# SPDX-License-Identifier: Apache-2.0
"""A job for new UVs in a worker, and what the gate says of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import server.unwrapper
from blender_addon.protocol.arrays import DType
from blender_addon.protocol.errors import ErrorCode
from blender_addon.protocol.specs.job import MeshSpec, PromptSpec, TextureJobSpec
from blender_addon.uv_measure import measure_uvs
from pgc.mesh import load_mesh, triangulate
from server.children.messages import WorkerPreview, WorkerProgress
from server.gate.main import Caps, judge
from server.worker.job import keep_job, run_job
from server.worker.tools import Ending, JobTools
from tests.pgc import needs


@pytest.fixture
def unwrap_job(stored_job, cube_obj):
    """The cube's triangles, which say which quad they are of."""
    triangles = triangulate(load_mesh(cube_obj))
    mesh = MeshSpec(
        name="cube",
        positions=stored_job.put(triangles.positions),
        faces=stored_job.put(triangles.faces),
        polygon_index=stored_job.put(triangles.polygon_index),
    )
    stored_job.write(TextureJobSpec(meshes=(mesh,), prompt=PromptSpec(text="UVs"), maps=("corner_uvs",)))
    return stored_job


class Broker:
    """Takes what a worker sends; `cancelled` from so many messages on."""

    def __init__(self) -> None:
        self.messages, self.cancel_at = [], 1 << 30

    def send(self, message, payload, may_be_lost):
        self.messages.append(message)

    def is_cancelled(self, job):
        return len(self.messages) >= self.cancel_at


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture
def tools(unwrap_job, cpu, broker):
    def no_prior(spec, device):
        raise AssertionError("a job for new UVs asked for a prior")

    return JobTools(
        paths=unwrap_job.paths,
        store=unwrap_job.store,
        device=cpu,
        guidance_for=no_prior,
        send=broker.send,
        is_cancelled=broker.is_cancelled,
        checkpoint_seconds=3600.0,
    )


def without_xatlas(monkeypatch):
    monkeypatch.setattr(server.unwrapper.importlib.util, "find_spec", lambda name: None)


@pytest.mark.slow
@needs.XATLAS
def test_new_uvs_come_back_for_each_corner_and_polygons_stay_whole(tools, unwrap_job, broker):
    outcome = run_job(tools, unwrap_job.name, 1, resume=False)
    assert outcome.ending is Ending.DONE, outcome.error
    (file,) = outcome.result.maps
    assert (file.map, file.dtype, file.codec) == ("corner_uvs", DType.F32, "raw")
    assert (file.height, file.width, file.channels) == (12, 3, 2)
    data = unwrap_job.store.read(file.sha256)
    assert len(data) == file.bytes
    uvs = np.frombuffer(data, "<f4").reshape(12, 3, 2)
    assert uvs.min() >= 0.0
    assert uvs.max() <= 1.0
    sent = unwrap_job.spec.meshes[0]
    faces, owner = (np.frombuffer(unwrap_job.store.read(ref.sha256), "<i4") for ref in (sent.faces, sent.polygon_index))
    positions = np.frombuffer(unwrap_job.store.read(sent.positions.sha256), "<f4").reshape(-1, 3)
    measure, _ = measure_uvs(positions, faces.reshape(-1, 3), uvs)
    assert measure.shared == 0.0
    assert measure.area_collapsed == 0.0
    corners = {}
    for polygon, position, uv in zip(owner.repeat(3), faces, uvs.reshape(-1, 2), strict=True):
        corners.setdefault((polygon, position), set()).add(tuple(uv.tolist()))
    assert len(corners) == 24
    assert all(len(found) == 1 for found in corners.values())
    config = json.loads(unwrap_job.store.read(outcome.result.config_json_sha256))
    assert config["triangles"] == 12
    steps = [message.step for message in broker.messages if isinstance(message, WorkerProgress)]
    assert steps == sorted(steps)
    assert steps[-1] == 100
    assert not any(isinstance(message, WorkerPreview) for message in broker.messages)


@needs.XATLAS
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_cancel_ends_it_without_a_result(tools, unwrap_job, broker, after):
    broker.cancel_at = after
    outcome = run_job(tools, unwrap_job.name, 1, resume=False)
    assert (outcome.ending, outcome.result) == (Ending.CANCELLED, None)
    assert len(broker.messages) == after
    kept = keep_job(tools, unwrap_job.name, 2)
    assert (kept.ending, kept.result) == (Ending.CANCELLED, None)


@needs.XATLAS
@pytest.mark.parametrize("point", [0.0, 5.0])
def test_a_mesh_without_area_is_told_in_a_sentence(tools, unwrap_job, point):
    mesh = unwrap_job.spec.meshes[0]
    flat = unwrap_job.put(np.full(mesh.positions.shape, point, np.float32))
    unwrap_job.write(replace(unwrap_job.spec, meshes=(replace(mesh, positions=flat),)))
    error = run_job(tools, unwrap_job.name, 1, resume=False).error
    assert error.code is ErrorCode.INPUT_INVALID
    assert "area" in error.text


def test_without_xatlas_gate_and_worker_say_so_and_nothing_is_offered(tools, unwrap_job, monkeypatch):
    assert "base_color" in server.unwrapper.offered_maps()
    without_xatlas(monkeypatch)
    assert "corner_uvs" not in server.unwrapper.offered_maps()
    worker = run_job(tools, unwrap_job.name, 1, resume=False).error
    for error in (worker, judge(unwrap_job.paths, unwrap_job.store, unwrap_job.name, Caps())):
        assert (error.code, error.field) == (ErrorCode.INPUT_INVALID, "maps")
        assert "xatlas is not installed" in error.text
        assert "pip install xatlas" in error.hint


@needs.XATLAS
def test_the_gate_looks_at_what_is_there(unwrap_job):
    assert "corner_uvs" in server.unwrapper.offered_maps()
    assert judge(unwrap_job.paths, unwrap_job.store, unwrap_job.name, Caps()) is None
    mesh = unwrap_job.spec.meshes[0]
    faces = np.frombuffer(unwrap_job.store.read(mesh.faces.sha256), "<i4").reshape(-1, 3).copy()
    faces[3, 1] = 99
    unwrap_job.write(replace(unwrap_job.spec, meshes=(replace(mesh, faces=unwrap_job.put(faces)),)))
    assert judge(unwrap_job.paths, unwrap_job.store, unwrap_job.name, Caps()).field.startswith("meshes[0].faces[3]")
