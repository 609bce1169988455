# SPDX-License-Identifier: Apache-2.0
"""What is killed comes back, and the job with it."""

import os
import signal

import pytest

from blender_addon import client as wire
from pgc.commands.texturing.remote import source_root
from pgc.remote.private_server import PrivateServer
from tests.e2e.faults.fault_harness import FaultHarness
from tests.e2e.faults.fault_report import summary
from tests.e2e.server_rig import Watcher, base_color, oracle_job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("warm_processes")]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_server_that_is_killed_in_the_middle_of_a_job_goes_on_with_it(one_thread):
    spec, arrays = oracle_job(steps=200)
    with (
        PrivateServer("cpu", source=source_root()) as server,
        wire.Client(server.connection, starter=server) as client,
    ):
        watch = Watcher(client)
        client.submit(spec, arrays)
        undisturbed = watch.until(wire.JobFinished)
        client.submit(spec, arrays)
        watch.until(wire.JobProgress, where=lambda event: 50 <= event.step < 150)
        os.kill(server.pid, signal.SIGKILL)
        assert watch.until(wire.Connected).again
        resumed = watch.until(wire.JobProgress)
        done = watch.until(wire.JobFinished)
        assert done.job != undisturbed.job
        # The worker saves what it has when its broker is gone.
        assert resumed.step >= 50
        assert base_color(done) == base_color(undisturbed)


def test_kills_at_random_points_lose_nothing(one_thread):
    harness = FaultHarness(seed=1)
    points = harness.run(4)
    table = summary(points, harness.duration, harness.step_seconds, harness.checkpoint_seconds)
    assert {point.victim for point in points} == {"broker", "worker", "gate", "client"}
    assert (table["jobs_lost"], table["results_twice"], table["results_different"]) == (0, 0, 0), points
