# SPDX-License-Identifier: Apache-2.0
"""A private server lives no longer than its owner; with small programs in its place."""

import shutil
import subprocess
import sys
import time

import psutil
import pytest

from pgc.commands.texturing.remote import source_root
from pgc.remote import private_server
from pgc.remote.private_server import PrivateServer

WELL_BEHAVED = """
import pathlib, sys, os
data = pathlib.Path(sys.argv[sys.argv.index("--data") + 1])
data.mkdir(parents=True)
(data / "connection.json").write_text(str(os.getpid()))
sys.stdin.read()
"""
DEAF = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
data = pathlib.Path(sys.argv[sys.argv.index("--data") + 1])
data.mkdir(parents=True)
(data / "connection.json").touch()
time.sleep(60)
"""


@pytest.fixture
def make(tmp_path):
    """A private server that runs this code."""

    def make_server(code):
        package = tmp_path / "server"
        package.mkdir(exist_ok=True)
        (package / "__main__.py").write_text(code)
        return PrivateServer("cpu", source=tmp_path)

    return make_server


def wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_ends_with_its_context_and_leaves_no_folder(make):
    with make(WELL_BEHAVED) as server:
        server.start()
        wait_until(server.connection.is_file)
        pid = server.pid
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)
    assert not server.data.parent.exists()


def test_one_that_listens_to_nothing_is_killed(make, monkeypatch):
    monkeypatch.setattr(private_server, "_DRAIN_SECONDS", 0.2)
    monkeypatch.setattr(private_server, "_TERMINATE_SECONDS", 0.2)
    with make(DEAF) as server:
        server.start()
        wait_until(server.connection.is_file)
        pid = server.pid
    assert not psutil.pid_exists(pid)


def test_one_that_crashed_is_started_again(make):
    with make(WELL_BEHAVED) as server:
        server.start()
        wait_until(server.connection.is_file)
        server.start()
        first = server.pid
        server.connection.unlink()
        psutil.Process(first).kill()
        # The folder is there already the second time.
        server.data.rmdir()
        wait_until(lambda: not psutil.pid_exists(first) or psutil.Process(first).status() == psutil.STATUS_ZOMBIE)
        server.start()
        wait_until(server.connection.is_file)
        assert server.pid != first


def test_one_that_cannot_start_says_why_once(make):
    with make("import sys; sys.exit('No room.')") as server:
        server.start()
        found = []
        wait_until(lambda: found.append(server.failure()) or found[-1] is not None)
        assert found[-1] == "The server cannot be started: No room."
        assert server.failure() is None


def test_it_ends_with_its_owners_process_however_that_ends(make, tmp_path):
    server = make(WELL_BEHAVED)
    code = (
        "import sys, time, pathlib; from pgc.remote.private_server import PrivateServer; "
        f"server = PrivateServer('cpu', source=pathlib.Path({str(tmp_path)!r})); server.start(); "
        "print(server.connection, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=source_root())
    assert owner.stdout is not None
    connection = type(tmp_path)(owner.stdout.readline().strip())
    wait_until(lambda: connection.is_file() and connection.read_text())
    pid = int(connection.read_text())
    owner.kill()
    owner.communicate()
    wait_until(lambda: not psutil.pid_exists(pid))
    server.stop()
    # Nobody was left to do that.
    shutil.rmtree(connection.parent.parent)
