# SPDX-License-Identifier: Apache-2.0
"""Real workers under a real broker: with faults, paused, before others, and idle."""

import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import psutil
import pytest

from blender_addon.protocol.arrays import array_ref, blob_of
from blender_addon.protocol.errors import ErrorCode, Retry
from blender_addon.protocol.messages import Accepted, Cancel, Done, JobState, Pause, Resume, Submit
from blender_addon.protocol.specs.job import MeshSpec, PromptSpec, TextureJobSpec
from server.children import local_executor as local
from server.children.local_executor import LocalExecutor
from server.config import QuotaConfig, ServerConfig, Supervision
from server.storage.blobs import BlobStore
from server.worker.checkpoints import load_newest
from tests.e2e.server_rig import oracle_job
from tests.pgc import needs
from tests.server.broker.rig import Client, Rig
from tests.server.faulty_worker import HANG, HANGING, KILLED, OUT_OF_MEMORY, OUT_OF_MEMORY_ONCE, SLOW, STICKY_ONCE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280), pytest.mark.usefixtures("warm_processes")]


class RealRig(Rig):
    """A broker in a thread, with real processes for children."""

    def __init__(self, root, checkpoint_seconds=3600.0, **supervision) -> None:
        super().__init__(root)
        self.config = ServerConfig(
            paths=self.paths,
            device="cpu",
            checkpoint_seconds=checkpoint_seconds,
            prewarm=False,
            quotas=QuotaConfig(disk_floor=0),
            supervision=Supervision(**supervision),
        )
        self.executor = LocalExecutor(self.paths)

    def workers(self) -> list[psutil.Process]:
        # Another test of this process may have left one that has ended.
        children = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
        return [child for child in children if "worker" in " ".join(child.cmdline())]

    def close(self) -> None:
        self.stop()
        for client in self.clients:
            client.close()


@pytest.fixture
def make_rig(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = []

    def make(**settings) -> RealRig:
        made.append(RealRig(tmp_path / "data", **settings))
        made[-1].start()
        return made[-1]

    yield make
    for rig in made:
        rig.close()


def _submit(client: Client, steps: int, priority: str = "interactive", views: int = 1) -> str:
    spec, arrays = oracle_job(steps=steps)
    spec = replace(spec, settings=replace(spec.settings, views=views))
    client.upload(*(blob_of(array) for array in arrays.values()))
    answer = client.ask(Submit(uuid.uuid4().hex, replace(spec, priority=priority)))
    assert isinstance(answer, Accepted), answer
    return answer.job


def _await(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.setitem(local._MODULES, "worker", "tests.server.faulty_worker")


@pytest.mark.skipif(sys.platform == "win32", reason="no signal asks for stacks there")
def test_a_worker_that_hangs_in_c_code_shows_its_stacks_and_is_gone_within_five_seconds(make_rig, faults):
    rig = make_rig()
    client = rig.client(timeout=200.0)
    job = _submit(client, HANG)
    _await(lambda: any(rig.paths.root.rglob(HANGING)))
    time.sleep(0.5)  # From the file to the lock.
    [worker] = rig.workers()
    begun = time.monotonic()
    assert client.ask(Cancel(job)) == Done()
    worker.wait(60)
    seconds = time.monotonic() - begun
    assert seconds < 5.5  # 4.5 by the clock of the broker; the rest is for a machine that is busy with tests.
    assert client.events(job)[-1].state is JobState.CANCELLED
    stacks = (rig.paths.logs / "worker-0.stderr").read_text()
    assert "faulty_worker.py" in stacks
    assert "in hang" in stacks
    assert "worker-0.stderr shows" in rig.paths.log_file.read_text()
    # The next job gets a new worker.
    assert client.events(_submit(client, 2))[-1].state is JobState.SUCCEEDED


SECONDS = float(os.environ.get("PGC_SLOW_STEP", "1.5"))
"""Of a slow step. `test_core_cancel.py` has steps of 20 s, by a clock that stands still until told."""


@pytest.fixture
def slow(monkeypatch, faults):
    monkeypatch.setenv("PGC_SLOW_STEP", str(SECONDS))


def _at_step(client: Client, job: str, step: int) -> None:
    client.events(job, until=lambda event: event.step >= step)


def _kept(client: Client, rig: RealRig, job: str) -> int:
    """Steps of the result of a cancelled job."""
    end = client.events(job)[-1]
    assert end.state is JobState.CANCELLED
    assert end.result is not None
    store = BlobStore(rig.paths.blobs)
    assert store.read(end.result.maps[0].sha256).startswith(b"\x89PNG")
    return json.loads(store.read(end.result.config_json_sha256))["steps_done"]


def _safe(rig: RealRig, job: str) -> int:
    """Steps of the newest checkpoint. After a write that took long, as on a busy disk, the second step has none."""
    saved = load_newest(rig.paths, job)
    assert saved is not None
    assert saved.step in (1, 2)
    return saved.step


def test_a_cancelled_job_of_slow_steps_keeps_what_it_made_and_its_worker(make_rig, slow):
    rig = make_rig()
    client = rig.client(timeout=200.0)
    job = _submit(client, SLOW)
    _at_step(client, job, 2)
    [worker] = rig.workers()
    time.sleep(0.3 * SECONDS)
    assert client.ask(Cancel(job)) == Done()
    assert _kept(client, rig, job) == 3
    assert rig.workers() == [worker]


def test_a_worker_that_is_killed_in_a_slow_step_costs_no_more_than_that_step(make_rig, slow):
    limits = {"cancel_terminate": 0.2, "stack_dump": 0.05, "cancel_kill": 0.1, "cancel_longest": 0.5}
    rig = make_rig(checkpoint_seconds=0.1, **limits)
    client = rig.client(timeout=200.0)
    job = _submit(client, SLOW)
    _at_step(client, job, 2)
    [worker] = rig.workers()
    time.sleep(0.3 * SECONDS)
    safe = _safe(rig, job)
    assert client.ask(Cancel(job)) == Done()
    worker.wait(60)
    assert _kept(client, rig, job) == safe
    assert sum(event.state is JobState.CANCELLED for event in client.events(job)) == 1


def test_a_server_that_is_stopped_after_a_cancel_keeps_it_at_its_next_start(make_rig, slow):
    rig = make_rig(checkpoint_seconds=0.1, cancel_terminate=60.0, cancel_longest=0.5)
    client = rig.client(timeout=200.0)
    job = _submit(client, SLOW)
    _at_step(client, job, 2)
    time.sleep(0.1 * SECONDS)
    assert client.ask(Cancel(job)) == Done()
    [worker] = rig.workers()
    worker.kill()
    rig.stop()
    safe = _safe(rig, job)
    rig.start()
    assert _kept(rig.client(timeout=200.0), rig, job) == safe


def test_a_job_that_kills_three_workers_is_set_aside_with_its_inputs_and_the_next_one_runs(make_rig, faults):
    rig = make_rig()
    client = rig.client(timeout=200.0)
    poison, good = _submit(client, KILLED), _submit(client, 2)
    error = client.events(poison)[-1].error
    assert (error.code, error.retry) == (ErrorCode.JOB_POISONED, Retry.CHANGED)
    assert "3 times" in error.text
    assert client.events(good)[-1].state is JobState.SUCCEEDED
    assert rig.paths.spec(poison).is_file()
    store = BlobStore(rig.paths.blobs)
    assert all(store.has(sha256) for sha256 in oracle_job(steps=KILLED)[1])
    starts = [
        event for event in client.events(poison) if event.state is JobState.RUNNING and event.kind.value == "state"
    ]
    assert len(starts) == 3


def test_memory_that_runs_out_costs_quality_and_then_the_job_but_never_the_worker(make_rig, faults):
    rig = make_rig()
    client = rig.client(timeout=200.0)
    events = client.events(_submit(client, OUT_OF_MEMORY_ONCE, views=2))
    assert events[-1].state is JobState.SUCCEEDED
    assert any("ran out of memory: the job goes on with" in (event.text or "") for event in events)
    [worker] = rig.workers()
    error = client.events(_submit(client, OUT_OF_MEMORY, views=2))[-1].error
    assert (error.code, error.retry) == (ErrorCode.RES_OOM, Retry.CHANGED)
    assert error.hint
    assert client.events(_submit(client, 2))[-1].state is JobState.SUCCEEDED
    assert rig.workers() == [worker]


def test_a_broken_cuda_context_costs_the_worker_and_not_the_job(make_rig, faults):
    rig = make_rig()
    client = rig.client(timeout=200.0)
    job = _submit(client, STICKY_ONCE)
    client.events(job, until=lambda event: event.state is JobState.RUNNING)
    [worker] = rig.workers()
    events = client.events(job)
    assert events[-1].state is JobState.SUCCEEDED
    assert any("graphics card reported an error" in (event.text or "") for event in events)
    assert not worker.is_running()
    assert "exit code 70" in rig.paths.log_file.read_text()


def test_an_idle_worker_gives_its_memory_back_and_the_next_job_gets_another(make_rig):
    rig = make_rig(idle_free=0.2, idle_exit=1.0)
    client = rig.client(timeout=200.0)
    assert client.events(_submit(client, 2))[-1].state is JobState.SUCCEEDED
    [worker] = rig.workers()
    worker.wait(60)
    assert rig.workers() == []
    assert client.events(_submit(client, 3))[-1].state is JobState.SUCCEEDED


def test_paused_and_preempted_jobs_go_on_to_the_bytes_of_an_undisturbed_run(make_rig):
    rig = make_rig(preempt_floor=0.1)
    client = rig.client(timeout=200.0)
    undisturbed = client.events(_submit(client, 240))[-1].result.maps[0].sha256
    job = _submit(client, 240, priority="batch")
    client.events(job, until=lambda event: event.step > 0)
    assert client.ask(Pause(job)) == Done()
    paused = client.events(job, until=lambda event: event.state is JobState.QUEUED and event.step > 0)[-1]
    assert paused.text.startswith("Paused")
    client.ask(Resume(job))
    client.events(job, until=lambda event: event.state is JobState.RUNNING and event.step > paused.step)
    quick = _submit(client, 2)
    assert client.events(quick)[-1].state is JobState.SUCCEEDED
    events = client.events(job)
    assert events[-1].state is JobState.SUCCEEDED
    assert any((event.text or "").startswith("An interactive job") for event in events)
    assert events[-1].result.maps[0].sha256 == undisturbed


def _submit_unwrap(client: Client) -> str:
    """A job for new UVs that keeps xatlas busy for seconds."""
    side = np.arange(161, dtype=np.int32)
    i, j = (axis.reshape(-1) for axis in np.meshgrid(side[:-1], side[:-1], indexing="ij"))
    first = i * 161 + j
    faces = np.concatenate(
        [np.stack([first, first + 161, first + 162], 1), np.stack([first, first + 162, first + 1], 1)]
    )
    x, y = np.meshgrid(side / 160.0, side / 160.0, indexing="ij")
    points = np.stack([x, y, 0.3 * np.sin(37.0 * x) * np.cos(41.0 * y)], axis=-1).reshape(-1, 3).astype(np.float32)
    arrays = points, faces.astype(np.int32), np.arange(len(faces), dtype=np.int32)
    positions, corners, polygons = (array_ref(array) for array in arrays)
    mesh = MeshSpec(name="waves", positions=positions, faces=corners, polygon_index=polygons)
    spec = TextureJobSpec(meshes=(mesh,), prompt=PromptSpec(text="UVs"), maps=("corner_uvs",))
    client.upload(*(blob_of(array) for array in arrays))
    answer = client.ask(Submit(uuid.uuid4().hex, spec))
    assert isinstance(answer, Accepted), answer
    return answer.job


@needs.XATLAS
def test_cancel_of_a_job_for_new_uvs_ends_xatlas_and_keeps_the_worker(make_rig):
    rig = make_rig()
    client = rig.client(timeout=200.0)
    job = _submit_unwrap(client)

    def unwrapping() -> list[psutil.Process]:
        found = [child for worker in rig.workers() for child in worker.children(recursive=True)]
        return [child for child in found if "xatlas_worker" in " ".join(child.cmdline())]

    _at_step(client, job, 1)
    _await(lambda: bool(unwrapping()))
    [xatlas], [worker] = unwrapping(), rig.workers()
    # It stands still, so that it cannot come to its end of itself.
    xatlas.suspend()
    assert client.ask(Cancel(job)) == Done()
    xatlas.wait(60)
    end = client.events(job)[-1]
    assert (end.state, end.result) == (JobState.CANCELLED, None)
    assert client.events(_submit(client, 2))[-1].state is JobState.SUCCEEDED
    assert [process.pid for process in rig.workers()] == [worker.pid]
