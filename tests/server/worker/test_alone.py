# SPDX-License-Identifier: Apache-2.0
"""One worker of a number at a time: two servers, one after the other, never have two models on one card."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from server.config import ServerPaths
from server.errors import AlreadyRunningError
from server.platform import InstanceLock
from server.storage.holders import holders
from server.worker.alone import alone

ROOT = Path(__file__).resolve().parents[3]
HOLD = """
import sys, time
from pathlib import Path
from server.worker.alone import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""
WAIT = """
import sys
from pathlib import Path
from server.worker.alone import alone
print("waits", flush=True)
with alone(Path(sys.argv[1]), sys.stdin.buffer, patience=1000):
    print("held", flush=True)
"""


def start(code: str, *arguments: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout.readline()
    return process


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    return ServerPaths(tmp_path).worker_lock(0)


@pytest.fixture
def holder(lock_file: Path):
    """Another process that holds the lock for a time."""
    started: list[subprocess.Popen] = []

    def hold(seconds: float) -> subprocess.Popen:
        started.append(start(HOLD, str(lock_file), str(seconds)))
        return started[-1]

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_a_worker_that_is_alone_does_not_wait(lock_file: Path, caplog) -> None:
    with alone(lock_file, patience=0.0), pytest.raises(AlreadyRunningError):
        InstanceLock(lock_file).acquire()
    with alone(lock_file, patience=0.0):
        assert caplog.records == []


def test_a_new_worker_waits_for_the_end_of_the_old_one(lock_file: Path, holder, caplog) -> None:
    caplog.set_level("INFO")
    old = holder(2.0)
    began = time.monotonic()
    with alone(lock_file, patience=60.0):
        assert old.poll() is not None or old.wait(60) == 0, "it ended by itself"
        assert time.monotonic() - began > 0.5
    assert "the worker of an earlier server is still there" in caplog.text
    assert "it has ended after" in caplog.text


@pytest.mark.parametrize("stopped", [False, True])
def test_an_old_worker_that_does_not_end_is_ended(lock_file: Path, holder, stopped: bool) -> None:
    old = holder(600.0)
    if stopped:
        os.kill(old.pid, signal.SIGSTOP)
    with alone(lock_file, patience=0.5):
        assert old.wait(60) == -signal.SIGKILL


@pytest.mark.slow
def test_only_who_holds_the_lock_is_ended(lock_file: Path, holder) -> None:
    """Not another Python, nor one that holds the lock of another number."""
    bystander = start(HOLD, str(lock_file.with_name("worker-1.lock")), "600")
    try:
        old = holder(600.0)
        assert [process.pid for process in holders(lock_file)] == [old.pid]
        with alone(lock_file, patience=0.3):
            assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.communicate()


def test_workers_of_other_numbers_do_not_wait_for_each_other(tmp_path: Path) -> None:
    paths = ServerPaths(tmp_path)
    with alone(paths.worker_lock(0), patience=0.0), alone(paths.worker_lock(1), patience=0.0):
        pass


def test_a_worker_that_waits_ends_with_its_own_server(lock_file: Path, holder) -> None:
    holder(600.0)
    waiting = start(WAIT, str(lock_file))
    time.sleep(0.5)
    assert waiting.poll() is None
    waiting.stdin.close()
    assert waiting.wait(60) == 0
    assert "held" not in waiting.stdout.read()
    waiting.stdout.close()


def test_the_end_of_the_input_after_the_wait_is_the_workers_own_business(lock_file: Path, holder) -> None:
    """It then writes a checkpoint before it ends."""
    holder(1.0)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stdin, alone(lock_file, stdin, patience=60.0):
        os.close(writer)
        time.sleep(0.3)
    assert not any(thread.name == "waiting" for thread in threading.enumerate())


@pytest.mark.slow
def test_what_cannot_be_ended_is_waited_for(lock_file: Path, holder, monkeypatch, caplog) -> None:
    """Another user's process, seen and not ours to end."""
    holder(3.0)

    def denied(self: psutil.Process) -> None:
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "kill", denied)
    with alone(lock_file, patience=0.2):
        pass
    assert "cannot be ended" in caplog.text
