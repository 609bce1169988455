# SPDX-License-Identifier: Apache-2.0
"""Real workers under a real broker: one that hangs in C code, and one that has nothing to do."""

import sys
import time
import uuid
from dataclasses import replace

import psutil
import pytest

from blender_addon.protocol.arrays import blob_of
from blender_addon.protocol.messages import Accepted, Cancel, Done, JobState, Submit
from server.config import QuotaConfig, ServerConfig, Supervision
from server.executors import local
from server.executors.local import LocalExecutor
from tests.e2e.server_rig import oracle_job
from tests.server.broker.rig import Client, Rig
from tests.server.faulty_worker import HANG

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]


class RealRig(Rig):
    """A broker in a thread, with real processes for children."""

    def __init__(self, root, **supervision) -> None:
        super().__init__(root)
        self.config = ServerConfig(
            paths=self.paths,
            device="cpu",
            checkpoint_seconds=3600.0,
            prewarm=False,
            quotas=QuotaConfig(disk_floor=0),
            supervision=Supervision(**supervision),
        )
        self.executor = LocalExecutor(self.paths)

    def workers(self) -> list[psutil.Process]:
        children = psutil.Process().children()
        return [child for child in children if "worker" in " ".join(child.cmdline())]

    def close(self) -> None:
        self.stop()
        for client in self.clients:
            client.close()


@pytest.fixture
def make_rig(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = []

    def make(**supervision) -> RealRig:
        made.append(RealRig(tmp_path / "data", **supervision))
        made[-1].start()
        return made[-1]

    yield make
    for rig in made:
        rig.close()


def _submit(client: Client, steps: int, priority: str = "interactive") -> str:
    spec, arrays = oracle_job(steps=steps)
    client.upload(*(blob_of(array) for array in arrays.values()))
    answer = client.ask(Submit(uuid.uuid4().hex, replace(spec, priority=priority)))
    assert isinstance(answer, Accepted), answer
    return answer.job


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.setitem(local._MODULES, "worker", "tests.server.faulty_worker")


@pytest.mark.skipif(sys.platform == "win32", reason="no signal asks for stacks there")
def test_a_worker_that_hangs_in_c_code_shows_its_stacks_and_is_gone_within_five_seconds(make_rig, faults):
    rig = make_rig()
    client = rig.client(timeout=200.0)
    job = _submit(client, HANG)
    client.events(job, until=lambda event: event.step >= 1)
    time.sleep(1.0)
    [worker] = rig.workers()
    begun = time.monotonic()
    assert client.ask(Cancel(job)) == Done()
    worker.wait(10)
    seconds = time.monotonic() - begun
    assert seconds < 5.5  # 4.5 by the clock of the broker; the rest is for a machine that is busy with tests.
    assert client.events(job)[-1].state is JobState.CANCELLED
    stacks = (rig.paths.logs / "worker-0.stderr").read_text()
    assert "faulty_worker.py" in stacks
    assert "in hang" in stacks
    assert "worker-0.stderr shows" in rig.paths.log_file.read_text()
    # The next job gets a new worker.
    assert client.events(_submit(client, 2))[-1].state is JobState.SUCCEEDED


def test_an_idle_worker_gives_its_memory_back_and_the_next_job_gets_another(make_rig):
    rig = make_rig(idle_free=0.2, idle_exit=1.0)
    client = rig.client(timeout=200.0)
    assert client.events(_submit(client, 2))[-1].state is JobState.SUCCEEDED
    [worker] = rig.workers()
    worker.wait(20)
    assert rig.workers() == []
    assert client.events(_submit(client, 3))[-1].state is JobState.SUCCEEDED
