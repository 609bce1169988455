# SPDX-License-Identifier: Apache-2.0
"""Workers on a Ray cluster: refused where anybody could reach it; on a real one, of this machine, ended in each way."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from server.__main__ import app
from server.children import ray_executor
from server.children.ray_executor import RayExecutor, check_ray
from server.children.ray_relay import EXIT_LOST
from server.children.settings import ChildSettings
from server.commands.start import _arguments
from server.config import ServerConfig, ServerPaths
from server.errors import ConfigError
from tests.server import children
from tests.server.children import FakeBroker
from tests.server.ray.local_cluster import LocalCluster


@pytest.fixture
def with_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is installed, as far as the executor sees."""
    monkeypatch.setattr(ray_executor.importlib.util, "find_spec", lambda name: object())


@pytest.mark.parametrize("mode", [None, "", "disabled"])
def test_a_cluster_without_a_token_is_refused(
    with_ray: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str | None
) -> None:
    """CVE-2023-48022 (ShadowRay): whoever reaches Ray runs code."""
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with pytest.raises(ConfigError, match="set RAY_AUTH_MODE=token"):
        RayExecutor(ServerPaths(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    RayExecutor(ServerPaths(tmp_path))


def test_without_ray_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_executor.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'pgc-texture\[ray\]'"):
        check_ray()


def test_a_relay_whose_environment_lost_the_token_ends_with_a_sentence(
    with_ray: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    executor = RayExecutor(ServerPaths(tmp_path))
    monkeypatch.delenv("RAY_AUTH_MODE")
    relay = executor.spawn("worker", 0)
    settings = ChildSettings("tcp://127.0.0.1:1", "", "", "", "worker", 0, str(tmp_path))
    with relay.stdin as stream:
        stream.write(json.dumps(settings.as_dict()).encode() + b"\n")
    assert _within(100, lambda: relay.poll() is not None)
    assert relay.poll() == 2
    assert "set RAY_AUTH_MODE=token" in (tmp_path / "logs/worker-0.stderr").read_text()


def test_the_server_itself_never_imports_ray() -> None:
    code = "import sys, server.broker.main, server.children.ray_executor; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_the_choice_is_made_at_the_start(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["start", "--data", str(tmp_path), "--executor", "slurm"])
    assert result.exit_code == 2
    assert "--executor is 'slurm'; expected one of local, ray" in result.output
    with pytest.raises(ConfigError, match="executor is 'slurm'"):
        ServerConfig(executor="slurm")  # type: ignore[arg-type]
    arguments = _arguments(ServerConfig(executor="ray"))
    assert arguments[arguments.index("--executor") + 1] == "ray"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCluster]:
    """A Ray cluster of this machine, with a token."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed (pip install 'pgc-texture[ray]')")
    local = LocalCluster()
    for name, value in local.variables.items():
        monkeypatch.setenv(name, value)
    try:
        local.start_head()
        local.start_node()
        yield local
    finally:
        local.close()


def _within(seconds: float, done: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
    return done()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="Ray's machines are Linux")
def test_worker_relay_and_broker_end_together_and_a_lost_machine_is_noticed(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = ServerPaths(tmp_path / "data")
    paths.root.mkdir(mode=0o700)
    executor = RayExecutor(paths)
    monkeypatch.setattr(children, "LocalExecutor", lambda data: executor)
    monkeypatch.setattr(FakeBroker, "start_seconds", 240.0)

    with closing(FakeBroker(paths, "worker")) as broker:
        worker = broker.ready.pid
        assert worker != broker.child.pid
        assert psutil.Process(worker).parent().name().startswith("ray::"), "Ray did not start it"
        broker.child.stdin.close()
        assert _within(60, lambda: broker.child.poll() == 0), "the broker's end is not the worker's"
        assert not psutil.pid_exists(worker)

    with closing(FakeBroker(paths, "worker")) as broker:
        os.kill(broker.ready.pid, signal.SIGKILL)
        assert _within(60, lambda: broker.child.poll() == 128 + signal.SIGKILL), "a killed worker is not noticed"

    with closing(FakeBroker(paths, "worker")) as broker:
        broker.child.kill()
        assert _within(60, lambda: not psutil.pid_exists(broker.ready.pid)), "a worker outlives its relay"

    with closing(FakeBroker(paths, "worker")) as broker:
        cluster.kill_node()
        assert _within(100, lambda: broker.child.poll() == EXIT_LOST), "a lost machine is not noticed"
        assert _within(60, lambda: not psutil.pid_exists(broker.ready.pid)), "a worker outlives its machine"
