# SPDX-License-Identifier: Apache-2.0
"""Blender runs in a process of its own: `run_in_blender("function", script="probe_….py", ...)` calls it there."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pgc.remote.private_server import PrivateServer
from server.config import ServerPaths
from server.storage.ownership import claim_data_folder
from tests.blender.blender_process import BlenderProcess, find_blender, probe_script
from tests.warm.popen import warm

STARTING = 90
"""Seconds of a server's start."""
LIMIT = 200
"""Seconds of one probe; a busy machine takes ten times as long as a quiet one."""
TEST_LIMIT = 450
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that starts Blender has a limit above that of its probes, so that the probe's own message is seen."""
    for item in items:
        here = item.path.is_relative_to(HERE) and item.get_closest_marker("blender") is not None
        if here and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_LIMIT))


@pytest.fixture(scope="session")
def blender() -> BlenderProcess:
    """The Blender under test."""
    found = find_blender(os.environ)
    assert found is not None, "tests that use this fixture are marked blender, and skipped without Blender"
    return found


@pytest.fixture
def run_in_blender(tmp_path: Path, blender: BlenderProcess) -> Callable[..., Any]:
    """Call a function of a script in tests/blender; its JSON answer comes back. Settings live for the test."""

    def run(
        probe: str, *, script: str = "probes.py", limit: float = LIMIT, own_process: bool = False, **arguments: object
    ) -> Any:
        work = tmp_path / "blender"
        return blender.call(probe_script(script), probe, arguments, work=work, limit=limit, own_process=own_process)

    return run


def started(server: PrivateServer) -> Path:
    """Starts a server and returns its connection file. It is forked from one that has its imports behind it; a Blender,
    which starts later, is not."""
    with warm():
        server.start()
    end = time.monotonic() + STARTING
    while not server.connection.exists() and time.monotonic() < end:
        assert server.failure() is None
        time.sleep(0.1)
    return server.connection


@pytest.fixture(scope="session")
def connection() -> Iterator[Path]:
    """The connection file of a server on the CPU that the tests of this process share. Each Blender is a client of its
    own there, with its own jobs. It has a tiny Zero123 of random weights."""
    with PrivateServer("cpu", source=HERE.parents[1]) as server:
        paths = ServerPaths(server.data)
        claim_data_folder(paths)
        _put_zero123(paths.models)
        yield started(server)


def _put_zero123(models: Path) -> None:
    """Puts a model where `pgc-server models pull` does."""
    # They import torch and diffusers, which most tests here do without.
    from pgc.guidance.models import PICTURE_MODELS
    from tests.pgc.guidance.zero123_models import write_zero123

    [files] = PICTURE_MODELS[0].downloads
    repository = models / f"models--{files.hub_id.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("1" * 40)
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("1" * 40)
    snapshot.mkdir(parents=True)
    write_zero123(snapshot)
    (models / "zero123.json").write_text(json.dumps({"key": "zero123", "files": []}))
