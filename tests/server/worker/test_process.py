# SPDX-License-Identifier: Apache-2.0
"""The worker as a process: start, jobs, cancel, stop, and a broker that dies."""

from __future__ import annotations

import pytest

from blender_addon.protocol.messages import ModelInfo
from server.children.local_executor import LocalExecutor
from server.children.messages import (
    Beat,
    CancelRun,
    FreeGpu,
    Run,
    Stop,
    WorkerCancelled,
    WorkerDone,
    WorkerFailed,
    WorkerPreview,
    WorkerProgress,
    WorkerYielded,
    YieldRun,
)
from server.errors import SpawnError
from tests.server.children import FakeBroker
from tests.server.jobs import with_settings


@pytest.fixture
def broker(stored_job):
    broker = FakeBroker(stored_job.paths, "worker", checkpoint_seconds=3600.0)
    yield broker
    broker.close()


@pytest.mark.slow
@pytest.mark.usefixtures("warm_processes")
def test_a_worker_does_one_job_after_another_and_says_so(broker, stored_job):
    assert broker.ready.devices == ("cpu",)
    assert ModelInfo("pocket", "installed") in broker.ready.models
    assert broker.ready.versions["torch"]
    broker.send(Run(stored_job.name, 1, False))
    assert broker.wait_for(WorkerPreview).width == 32
    done = broker.wait_for(WorkerDone)
    assert done.attempt == 1
    assert stored_job.store.has(done.result.maps[0].sha256)
    broker.send(FreeGpu())
    broker.send(Run("b" * 32, 1, False))
    failed = broker.wait_for(WorkerFailed)
    assert "specification cannot be read any more" in failed.error.text
    # Cancel, at the next step.
    stored_job.write(with_settings(stored_job.spec, steps=100_000))
    broker.send(Run(stored_job.name, 2, False))
    broker.wait_for(WorkerProgress)
    broker.send(CancelRun(stored_job.name))
    assert broker.wait_for(WorkerCancelled, 5).attempt == 2
    # Make room, and go on from there.
    broker.send(Run(stored_job.name, 3, False))
    while broker.wait_for(WorkerProgress).step == 0:
        pass
    broker.send(YieldRun(stored_job.name))
    assert (step := broker.wait_for(WorkerYielded, 5).step) > 0
    broker.send(Run(stored_job.name, 4, True))
    assert broker.wait_for(WorkerProgress).step == step
    broker.send(CancelRun(stored_job.name))
    broker.wait_for(WorkerCancelled, 5)
    # Stop in the middle of a run: a checkpoint, and an exit that is no failure.
    broker.send(Run(stored_job.name, 5, False))
    while broker.wait_for(WorkerProgress).step == 0:
        pass
    broker.send(Stop())
    assert broker.exit_code() == 0
    assert stored_job.paths.checkpoint(stored_job.name).is_file()
    log = (stored_job.paths.logs / "worker-0.jsonl").read_text()
    assert "stopped" in log


@pytest.mark.slow
@pytest.mark.usefixtures("warm_processes")
def test_a_worker_whose_broker_dies_checkpoints_and_ends(broker, stored_job):
    stored_job.write(with_settings(stored_job.spec, steps=100_000))
    broker.send(Run(stored_job.name, 1, False))
    while broker.wait_for(WorkerProgress).step == 0:
        pass
    assert broker.wait_for(Beat, 5).step_counter > 0
    broker.hang_up()
    assert broker.exit_code() == 0
    assert stored_job.paths.checkpoint(stored_job.name).is_file()


def test_an_unknown_role_is_not_started(stored_job):
    with pytest.raises(SpawnError, match="expected gate or worker"):
        LocalExecutor(stored_job.paths).spawn("miner", 0)
