# SPDX-License-Identifier: Apache-2.0
"""A job for a new shape in a worker, and what the gate says of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from blender_addon.protocol.errors import ErrorCode
from blender_addon.protocol.meshes import preview_mesh, read_result
from blender_addon.protocol.specs.job import (
    MeshSpec,
    PreviewSpec,
    PromptSpec,
    SettingsSpec,
    ShapeSpec,
    TextureJobSpec,
)
from blender_addon.protocol.specs.shape import MOST_SHAPE_TRIANGLES, MOST_VOLUME_RESOLUTION
from pgc.guidance.specs import load_guidance
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.shape.prepared import MOST_TRIANGLES, PreparedShape
from pgc.volume.settings import MOST_PIXELS
from server.children.messages import WorkerCheckpoint, WorkerNotice, WorkerPreview, WorkerProgress, pack, unpack
from server.gate.main import Caps, judge
from server.worker import previews
from server.worker.job import keep_job, run_job
from server.worker.tools import Ending, JobTools

STEPS = 3
AWAY = np.array([50.0, 0.0, 0.0])


class Broker:
    """Takes what a worker sends; `cancelled` once so many steps are told."""

    def __init__(self) -> None:
        self.messages, self.payloads, self.cancel_at, self.stop_at = [], [], 1 << 30, 1 << 30

    def send(self, message, payload, may_be_lost):
        assert unpack(pack(message)) == message
        self.messages.append(message)
        if payload is not None:
            self.payloads.append((message, payload))

    def of(self, kind):
        return [message for message in self.messages if isinstance(message, kind)]

    @property
    def step(self):
        return max((message.step for message in self.of(WorkerProgress)), default=0)


@pytest.fixture
def shape_job(stored_job):
    """A ball with UVs and two slots, in two parts of the world far from the origin."""
    ball = trimesh.creation.icosphere(subdivisions=1)
    faces = ball.faces.astype(np.int32)
    uvs = np.random.default_rng(0).random((len(faces), 3, 2)).astype(np.float32)
    mesh = MeshSpec(
        name="ball",
        positions=stored_job.put(np.concatenate([ball.vertices + AWAY, [[0, 0, 9]]]).astype(np.float32)),
        faces=stored_job.put(faces),
        corner_uvs=stored_job.put(uvs),
        material_index=stored_job.put((np.arange(len(faces)) % 2).astype(np.int32)),
    )
    stored_job.write(
        TextureJobSpec(
            meshes=(mesh,),
            prompt=PromptSpec(text="a red ball"),
            settings=SettingsSpec(steps=STEPS, views=1, resolution=32, seed=5),
            maps=("shape",),
            preview=PreviewSpec(every_s=0.05),
        )
    )
    return stored_job


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture(scope="module")
def prior():
    """Loaded once."""
    held = {}

    def guidance_for(spec, device):
        if spec not in held:
            held[spec] = load_guidance(spec, device)
        return held[spec]

    return guidance_for


@pytest.fixture
def tools(shape_job, cpu, broker, prior):
    return JobTools(
        paths=shape_job.paths,
        store=shape_job.store,
        device=cpu,
        guidance_for=prior,
        send=broker.send,
        is_cancelled=lambda job: broker.step >= broker.cancel_at,
        is_stopping=lambda: broker.step >= broker.stop_at,
        checkpoint_seconds=3600.0,
    )


def made(tools, outcome):
    return read_result({file: tools.store.read(file.sha256) for file in outcome.result.maps})


def sent(shape_job, name):
    ref = getattr(shape_job.spec.meshes[0], name)
    return np.frombuffer(shape_job.store.read(ref.sha256), ref.dtype.numpy).reshape(ref.shape)


@pytest.mark.slow
def test_the_result_is_a_mesh_of_the_same_triangles_and_previews_show_the_way(tools, shape_job, broker):
    assert judge(shape_job.paths, shape_job.store, shape_job.name, Caps()) is None
    outcome = run_job(tools, shape_job.name, 1, resume=False)
    assert outcome.ending is Ending.DONE, outcome.error
    mesh, before = made(tools, outcome), sent(shape_job, "positions")
    assert np.array_equal(mesh.faces, sent(shape_job, "faces"))
    assert np.array_equal(mesh.corner_uvs, sent(shape_job, "corner_uvs"))
    assert np.array_equal(mesh.material_index, sent(shape_job, "material_index"))
    assert mesh.corner_colors.shape == (80, 3, 3)
    assert np.array_equal(mesh.positions[-1], before[-1])
    moved = np.linalg.norm(mesh.positions - before, axis=1)
    assert 0.0 < moved.max() < 0.5
    config = json.loads(tools.store.read(outcome.result.config_json_sha256))
    assert (config["seed"], config["steps_done"], config["mesh"]["triangles"]) == (5, STEPS, 80)
    assert any("subdivide it 3 times" in text for text in outcome.result.warnings)
    assert broker.of(WorkerProgress)[-1].step == STEPS
    message, data = broker.payloads[-1]
    assert isinstance(message, WorkerPreview)
    assert (message.map, message.codec) == ("shape", "mesh")
    shown = preview_mesh(message.width, message.height, data)
    assert np.array_equal(shown.faces, mesh.faces)
    assert shown.positions.shape == mesh.positions.shape


@pytest.mark.slow
def test_a_shape_whose_memory_ends_goes_on_with_fewer_views(tools, shape_job, broker, monkeypatch):
    shape_job.write(replace(shape_job.spec, settings=replace(shape_job.spec.settings, views=2)))
    advance, failures = DistillationLoop.advance, [True, True]

    def step(loop):
        if loop.step == 1 and failures:
            failures.pop()
            raise torch.OutOfMemoryError("CUDA out of memory")
        return advance(loop)

    monkeypatch.setattr(DistillationLoop, "advance", step)
    outcome = run_job(tools, shape_job.name, 1, resume=False)
    assert outcome.ending is Ending.DONE, outcome.error
    told = [message.text for message in broker.of(WorkerNotice) if "ran out of memory" in message.text]
    assert len(told) == 2
    assert "1 instead of 2 views" in told[1]
    config = json.loads(tools.store.read(outcome.result.config_json_sha256))
    assert config["resolved"]["settings"]["optimize"]["views"] == 1
    assert made(tools, outcome).positions.shape == sent(shape_job, "positions").shape


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_same_shape(tools, shape_job, broker):
    whole = run_job(tools, shape_job.name, 1, resume=False)
    broker.messages.clear()
    broker.stop_at = 1
    stopped = run_job(tools, shape_job.name, 2, resume=False)
    assert stopped.ending is Ending.STOPPED
    assert broker.of(WorkerCheckpoint)
    broker.messages.clear()
    broker.stop_at = 1 << 30
    resumed = run_job(tools, shape_job.name, 3, resume=True)
    assert [file.sha256 for file in resumed.result.maps] == [file.sha256 for file in whole.result.maps]


@pytest.mark.slow
def test_a_cancel_keeps_what_was_made(tools, shape_job, broker):
    broker.cancel_at = 1
    tools = replace(tools, checkpoint_steps=1)
    outcome = run_job(tools, shape_job.name, 1, resume=False)
    assert outcome.ending is Ending.CANCELLED
    assert np.isfinite(made(tools, outcome).positions).all()
    # Nothing to keep: a checkpoint comes after the step that the cancel was heard in.
    assert keep_job(tools, shape_job.name, 2).result is None


@pytest.mark.slow
def test_the_newest_checkpoint_is_kept_without_a_prior(tools, shape_job, broker):
    broker.stop_at = 2
    assert run_job(tools, shape_job.name, 1, resume=False).ending is Ending.STOPPED
    kept = keep_job(replace(tools, is_stopping=lambda: False), shape_job.name, 2)
    assert kept.ending is Ending.CANCELLED
    assert len(made(tools, kept).faces) == 80


@pytest.mark.slow
def test_a_grid_has_a_surface_of_its_own(tools, shape_job):
    shape = ShapeSpec(geometry="dmtet", cubes=8)
    bare = replace(shape_job.spec.meshes[0], corner_uvs=None, material_index=None)
    shape_job.write(replace(shape_job.spec, meshes=(bare,), shape=shape))
    outcome = run_job(tools, shape_job.name, 1, resume=False)
    assert outcome.ending is Ending.DONE, outcome.error
    mesh = made(tools, outcome)
    assert mesh.corner_uvs is None
    solid = trimesh.Trimesh(mesh.positions, mesh.faces)
    assert solid.is_watertight
    assert solid.volume > 0.0
    assert np.allclose(solid.centroid, AWAY, atol=0.3)


@pytest.mark.slow
def test_a_prompt_alone_becomes_a_mesh_and_is_kept_on_the_way(tools, shape_job, broker):
    settings = replace(shape_job.spec.settings, steps=2, preset="draft")
    volume = ShapeSpec(geometry="volume")
    shape_job.write(
        replace(shape_job.spec, meshes=(), shape=volume, settings=settings, prompt=PromptSpec(text="a red vase"))
    )
    assert judge(shape_job.paths, shape_job.store, shape_job.name, Caps()) is None
    outcome = run_job(tools, shape_job.name, 1, resume=False)
    assert outcome.ending is Ending.DONE, outcome.error
    mesh = made(tools, outcome)
    assert mesh.corner_uvs is None
    assert mesh.corner_colors.shape == (len(mesh.faces), 3, 3)
    solid = trimesh.Trimesh(mesh.positions, mesh.faces)
    assert solid.is_watertight
    assert solid.volume > 0.0
    assert np.abs(mesh.positions).max() <= 1.0
    assert any("began as a vase" in text for text in outcome.result.warnings)
    message, data = broker.payloads[0]
    assert len(preview_mesh(message.width, message.height, data).faces) < len(mesh.faces)
    broker.messages.clear()
    broker.stop_at = 1
    assert run_job(tools, shape_job.name, 2, resume=False).ending is Ending.STOPPED
    kept = keep_job(replace(tools, is_stopping=lambda: False), shape_job.name, 3)
    assert len(made(tools, kept).faces) > 100


@pytest.mark.slow
def test_a_shape_that_would_vanish_ends_with_the_one_before(tools, shape_job, broker, monkeypatch):
    why = "The shape would have vanished."
    monkeypatch.setattr(PreparedShape, "why_over", lambda run: why if run.loop.step == 1 else None)
    monkeypatch.setattr(previews, "MOST_PREVIEW_BYTES", 100)
    outcome = run_job(tools, shape_job.name, 1, resume=False)
    assert outcome.ending is Ending.DONE, outcome.error
    assert len(made(tools, outcome).faces) == 80
    assert [message.text for message in broker.of(WorkerNotice)].count(why) == 1
    assert why in outcome.result.warnings
    assert broker.of(WorkerProgress)[-1].step == 1
    assert not broker.payloads, "a mesh too large for a preview has none"


def test_the_limits_of_both_sides_agree():
    assert MOST_SHAPE_TRIANGLES == MOST_TRIANGLES
    assert MOST_VOLUME_RESOLUTION == MOST_PIXELS


def test_the_gate_looks_at_the_mesh(shape_job):
    faces = sent(shape_job, "faces").copy()
    faces[3, 1] = 99
    mesh = replace(shape_job.spec.meshes[0], faces=shape_job.put(faces))
    shape_job.write(replace(shape_job.spec, meshes=(mesh,)))
    error = judge(shape_job.paths, shape_job.store, shape_job.name, Caps())
    assert error.code is ErrorCode.INPUT_INVALID
    assert error.field.startswith("meshes[0].faces[3]")
