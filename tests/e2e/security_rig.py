# SPDX-License-Identifier: Apache-2.0
"""A server that was started with umask 0, its owner with two jobs, and a colleague who may use it too."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest

from blender_addon.protocol.arrays import blob_of
from blender_addon.protocol.messages import Accepted, JobState, Submit
from pgc.commands.texturing.remote import source_root
from server.broker.sessions.auth import KeyPair, add_client, new_key_pair
from server.config import ServerPaths
from server.storage.connection import read_connection
from tests.e2e.server_rig import oracle_job
from tests.server.broker.rig import Client

__all__ = ["Started", "alice", "bob", "started"]


class Started:
    """A server process, and the keys of a second person who may use it."""

    def __init__(self, data: Path) -> None:
        self.paths = ServerPaths(data)
        self.other = new_key_pair()
        add_client(self.paths, "colleague", self.other.public)
        command = [sys.executable, "-m", "server", "start", "--data", str(data), "--device", "cpu", "--until-eof"]
        # The worst habit that a user's shell can have: all that is not protected on purpose is open to everybody.
        options = {} if sys.platform == "win32" else {"umask": 0}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=source_root(), **options)
        deadline = time.monotonic() + 60
        while not self.paths.connection.is_file():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.connection = read_connection(self.paths.connection)
        self.clients: list[Client] = []

    @property
    def ports(self) -> tuple[int, int]:
        return self.connection.ctl_port, self.connection.bulk_port

    def client(self, keys: KeyPair | None = None, *, hello: bool = True, **facts) -> Client:
        client = Client(dataclasses.replace(self.connection, **facts), keys, timeout=40.0)
        self.clients.append(client)
        if hello:
            client.hello()
        return client

    def worker(self) -> psutil.Process:
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if "server.worker" in child.cmdline())

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.process.stdin.close()
        self.process.wait(30)


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    found = Started(tmp_path_factory.mktemp("security") / "data")
    yield found
    found.close()


@pytest.fixture(scope="module")
def alice(started):
    """The owner, with a finished job of three steps and one that runs for ever."""
    client = started.client()
    spec, arrays = oracle_job(steps=3, name="finished")
    client.upload(*(blob_of(array) for array in arrays.values()))
    client.hashes = sorted(arrays)
    accepted = client.ask(Submit(uuid.uuid4().hex, spec))
    assert isinstance(accepted, Accepted), accepted
    last = client.events(accepted.job)[-1]
    assert last.state is JobState.SUCCEEDED, last
    client.finished, client.result = accepted.job, last.result
    running = client.ask(Submit(uuid.uuid4().hex, oracle_job(steps=1_000_000, name="running")[0]))
    client.running = running.job
    client.events(running.job, until=lambda event: event.step > 0)
    return client


@pytest.fixture(scope="module")
def bob(started):
    return started.client(started.other)
