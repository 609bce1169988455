# SPDX-License-Identifier: Apache-2.0
"""The server's promises on a Ray cluster: no job is lost or done twice, whatever is killed, and bytes stay the same."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from blender_addon import client as wire
from pgc.commands.texturing.remote import source_root
from pgc.remote.private_server import PrivateServer
from tests.e2e.server_rig import Watcher, base_color, oracle_job
from tests.server.ray.local_cluster import LocalCluster, processes_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="Ray's machines are Linux"),
]
STEPS = 300
APART = 25
"""Steps that a job gets on between two kills."""
LONG = 240.0


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCluster]:
    """A head and a machine; this process and what it starts know their token."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed (pip install 'pgc-texture[ray]')")
    local = LocalCluster()
    for name, value in {**local.variables, "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    try:
        local.start_head()
        local.start_node()
        yield local
    finally:
        local.close()


def test_kills_of_node_driver_server_and_head_lose_no_job(cluster: LocalCluster) -> None:
    spec, arrays = oracle_job(steps=STEPS)
    options = ["--executor", "ray", "--checkpoint-seconds", "0.5"]
    with (
        PrivateServer("cpu", options, source=source_root()) as server,
        wire.Client(server.connection, starter=server) as client,
    ):
        watch = Watcher(client)
        client.submit(spec, arrays)
        undisturbed = watch.until(wire.JobFinished, LONG)
        _only_here(server)
        client.submit(spec, arrays)
        job = watch.until(wire.JobAccepted, LONG).job
        reached = _further(watch, 0)

        cluster.kill_node()
        cluster.start_node()
        reached = _further(watch, reached)

        (relay,) = processes_of("server.children.ray_relay")
        relay.kill()
        reached = _further(watch, reached)

        os.kill(server.pid, signal.SIGKILL)
        assert watch.until(wire.Connected, LONG).again
        _further(watch, reached)

        cluster.kill_head()
        client.submit(spec, arrays)
        other = watch.until(wire.JobAccepted, LONG).job
        cluster.kill_node()
        cluster.start_head()
        cluster.start_node()
        ended = {}
        while len(ended) < 2:
            done = watch.until(wire.JobFinished, LONG)
            assert done.job not in ended, "a job ended twice"
            ended[done.job] = base_color(done)
        assert ended == dict.fromkeys((job, other), base_color(undisturbed))
        assert len(watch.of(wire.JobFinished)) == 3


def test_whoever_has_no_token_is_refused(cluster: LocalCluster) -> None:
    code = f"import ray; ray.init(address={cluster.address!r}, log_to_driver=False); print(ray.cluster_resources())"
    bare = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    for variables in (bare, {**bare, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}):
        asked = subprocess.run(
            [sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=200, check=False
        )
        assert asked.returncode != 0
        assert "CPU" not in asked.stdout
    known = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False)
    assert known.returncode == 0, known.stderr
    assert "CPU" in known.stdout


def _further(watch: Watcher, reached: int) -> int:
    """Waits until the job has got on by APART steps; returns its step."""
    return watch.until(wire.JobProgress, LONG, where=lambda event: event.step >= reached + APART).step


def _only_here(server: PrivateServer) -> None:
    """Checks that the server listens on the address that it was given, and on no other. Ray itself does not, neither in
    its machines' processes nor in the relay, whatever address it is told: these ask for the token."""
    front = psutil.Process(server.pid)
    own = [one for one in (front, *front.children(recursive=True)) if "server.children.ray_relay" not in one.cmdline()]
    places = [place for process in own for place in process.net_connections("inet")]
    assert {place.laddr.ip for place in places if place.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


def test_the_cluster_of_the_tests_is_gone_afterwards() -> None:
    local = LocalCluster()
    asleep = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)", str(local.folder)])
    assert [process.pid for process in processes_of(str(local.folder))] == [asleep.pid]
    local.close()
    assert asleep.wait(20) == -signal.SIGKILL
