# SPDX-License-Identifier: Apache-2.0
"""How the threads of a worker's torch wait for one another, in the words of the OpenMP library in its process."""

from __future__ import annotations

import json
import re
import sys
import time

import pytest

from server.children.local_executor import LocalExecutor
from server.children.settings import ChildSettings

CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Intel's OpenMP writes past Python's streams there")
@pytest.mark.parametrize(("chosen", "told"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_unless_the_user_chose_otherwise(stored_job, monkeypatch, chosen, told):
    for name in CHOICES:
        monkeypatch.delenv(name, raising=False)
    if chosen is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    monkeypatch.setenv("OMP_DISPLAY_ENV", "TRUE")
    settings = ChildSettings("tcp://127.0.0.1:1", "k" * 40, "k" * 40, "k" * 40, "worker", 0, str(stored_job.paths.root))
    child = LocalExecutor(stored_job.paths).spawn("worker", 0)
    child.stdin.write(json.dumps(settings.as_dict()).encode() + b"\n")
    child.stdin.flush()
    log = stored_job.paths.logs / "worker-0.stderr"
    deadline = time.monotonic() + 60
    try:
        while not (policy := re.search(r"OMP_WAIT_POLICY *= *'(\w+)'", log.read_text())):
            assert child.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "no OpenMP library was loaded within a minute"
            time.sleep(0.1)
    finally:
        child.kill()
        child.stdin.close()
        while child.poll() is None:
            time.sleep(0.01)
    assert policy[1] == told
