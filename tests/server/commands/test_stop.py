# SPDX-License-Identifier: Apache-2.0
"""`stop` ends the server of its folder, and nothing else, whatever the connection file says."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from server.__main__ import app
from server.commands.running import find_running
from server.config import ServerPaths
from server.platform import InstanceLock
from server.storage.connection import Connection, read_connection, write_connection

ROOT = Path(__file__).resolve().parents[3]


def stop(paths: ServerPaths, *options: str):
    return CliRunner().invoke(app, ["stop", "--data", str(paths.root), *options])


def connection(pid: int) -> Connection:
    return Connection((1, 0), "127.0.0.1", 1, 2, "x" * 40, "x" * 40, "x" * 40, pid, "0" * 32)


@pytest.fixture
def bystander():
    """A process that has nothing to do with us, with a child."""
    code = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    process = subprocess.Popen([sys.executable, "-c", code + "print('up', flush=True); time.sleep(60)"], stdout=-1)
    assert process.stdout.readline() == b"up\n"
    yield process
    for one in [*psutil.Process(process.pid).children(), psutil.Process(process.pid)]:
        one.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("options", [(), ("--now",)])
@pytest.mark.parametrize("lock_file", [False, True])
def test_a_process_that_has_the_number_is_left_alone(tmp_path, bystander, options, lock_file) -> None:
    """A copied folder, a restored backup, a number that was given anew."""
    paths = ServerPaths(tmp_path)
    if lock_file:
        paths.lock.touch()
    write_connection(paths.connection, connection(bystander.pid))
    os.utime(paths.connection, (time.time() + 100, time.time() + 100))
    result = stop(paths, *options)
    assert result.exit_code == 0
    assert "No server is running here" in result.output
    assert bystander.poll() is None
    assert len(psutil.Process(bystander.pid).children()) == 1


@pytest.mark.parametrize("pid", [0, 1, -1, pytest.param(os.getpid(), id="own"), 2**31 - 1])
def test_no_number_is_believed(tmp_path, pid) -> None:
    paths = ServerPaths(tmp_path)
    paths.lock.touch()
    write_connection(paths.connection, connection(pid))
    assert "No server is running here" in stop(paths, "--now").output


def test_a_lock_that_somebody_unseen_holds_is_a_sentence(tmp_path, bystander, monkeypatch) -> None:
    """As of a container that shares the folder: there the number is another process."""
    paths = ServerPaths(tmp_path)
    write_connection(paths.connection, connection(bystander.pid))
    with InstanceLock(paths.lock):
        monkeypatch.setattr(psutil, "process_iter", lambda: iter(()))
        for options in ((), ("--now",)):
            result = stop(paths, *options)
            assert result.exit_code == 2
            assert "cannot be seen from here" in result.output
    assert bystander.poll() is None


@pytest.fixture
def server(tmp_path):
    paths = ServerPaths(tmp_path / "data")
    command = [sys.executable, "-P", "-m", "server", "start", "--data", str(paths.root), "--device", "cpu"]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not paths.connection.exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    yield paths, process
    process.kill()
    process.wait()


def wait(process) -> int:
    return process.wait(30)


@pytest.mark.slow
def test_a_damaged_connection_file_is_written_again_and_is_no_dead_end(server) -> None:
    paths, process = server
    whole = read_connection(paths.connection)
    for damage in (b"", b"{", b'{"pid": 1}', b"[" * 100_000, json.dumps({"protocol": [1, 0], "pid": 1}).encode(), None):
        if damage is None:
            paths.connection.unlink()
        else:
            paths.connection.write_bytes(damage)
        end = time.monotonic() + 60
        while True:
            try:
                if read_connection(paths.connection) == whole:
                    break
            except Exception:  # noqa: BLE001 - it is damaged still
                pass
            assert time.monotonic() < end
            time.sleep(0.1)
    paths.connection.write_bytes(b"damaged at the last moment")
    result = stop(paths)
    assert result.exit_code == 0, result.output
    assert wait(process) == 0


@pytest.mark.slow
def test_a_connection_file_that_names_another_process_ends_only_the_server(server, bystander) -> None:
    paths, process = server
    assert find_running(paths).process.pid == process.pid
    write_connection(paths.connection, replace(read_connection(paths.connection), pid=bystander.pid))
    result = stop(paths, "--now")
    assert result.exit_code == 0, result.output
    assert wait(process) is not None
    assert bystander.poll() is None
    assert find_running(paths) is None


@pytest.mark.slow
def test_a_server_whose_folder_is_deleted_ends_and_says_so(server) -> None:
    paths, process = server
    deadline = time.monotonic() + 30.0
    while paths.root.exists():
        # The server may write into it meanwhile.
        shutil.rmtree(paths.root, ignore_errors=True)
        assert time.monotonic() < deadline
    assert wait(process) == 0
    assert not (paths.root / "connection.json").exists()


@pytest.mark.slow
def test_a_copied_folder_has_no_server(server, tmp_path) -> None:
    paths, process = server
    copy = ServerPaths(tmp_path / "copy")

    def copy_if_there(source: str, target: str) -> None:
        """Files of SQLite, and half-written ones, come and go while the server runs."""
        with suppress(FileNotFoundError):
            shutil.copy2(source, target)

    shutil.copytree(paths.root, copy.root, copy_function=copy_if_there)
    assert copy.connection.exists()
    assert copy.lock.exists()
    assert "No server is running here" in stop(copy, "--now").output
    assert process.poll() is None
