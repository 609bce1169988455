# SPDX-License-Identifier: Apache-2.0
"""The client with its thread and real sockets, against a small server in this process."""

import gc
import itertools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from blender_addon.client import (
    Client,
    ClientClosedError,
    ClientFailed,
    Connected,
    Disconnected,
    FieldError,
    JobAccepted,
    JobFinished,
    Refused,
    ServerAddress,
    ServerStartFailed,
    ServerStarting,
    SessionConfig,
    array_ref,
    client_thread,
)
from blender_addon.client.requests import Channel
from blender_addon.client.sockets import Sockets
from blender_addon.client.timing import HeartbeatConfig
from blender_addon.protocol.errors import ErrorCode
from tests.blender_addon.client.fake_server import FakeServer, keypair, serving, wait_until
from tests.blender_addon.client.harness import small_spec


@pytest.fixture
def connection(tmp_path):
    return tmp_path / "connection.json"


def until(client, kind, timeout=60.0):
    end = time.monotonic() + timeout
    seen = []
    while time.monotonic() < end:
        event = client.events.get(timeout=0.1)
        if isinstance(event, kind):
            return event
        if event is not None:
            seen.append(event)
    raise AssertionError(f"no {kind.__name__}, only {seen}")


def arrays_of(*arrays):
    return {array_ref(array).sha256: array for array in arrays}


def test_a_job_from_arrays_to_maps(connection):
    big = np.arange(1_000_000, dtype=np.float32)
    with serving(connection, result=b"p" * 3_000_000) as server, Client(connection) as client:
        until(client, Connected)
        key = client.submit(small_spec(), arrays_of(big, np.zeros(3, np.uint8)))
        assert until(client, JobAccepted).key == key
        done = until(client, JobFinished)
        assert list(done.maps.values()) == [b"p" * 3_000_000]
        assert server.blobs[array_ref(big).sha256] == big.tobytes()
        wait_until(lambda: server.acknowledged == [done.job])
        assert len(server.submitted) == 1


def test_control_is_looked_at_between_pieces_of_bulk_data(connection, monkeypatch):
    monkeypatch.setattr(client_thread, "_BULK_SECONDS", 0.0)
    looked: list[tuple[Channel, bool]] = []
    receive = Sockets.receive

    def watched(sockets, channel):
        frames = receive(sockets, channel)
        looked.append((channel, frames is not None))
        return frames

    monkeypatch.setattr(Sockets, "receive", watched)
    with serving(connection, result=b"p" * 20_000_000), Client(connection) as client:
        client.submit(small_spec(), arrays_of(np.zeros(3, np.uint8)))
        assert list(until(client, JobFinished).maps.values()) == [b"p" * 20_000_000]
    pieces = [at for at, entry in enumerate(looked) if entry == (Channel.BULK, True)]
    assert len(pieces) > 26
    assert all((Channel.CTL, False) in looked[a:b] for a, b in itertools.pairwise(pieces))


def test_arrays_may_change_after_submit(connection):
    array = np.arange(1000, dtype=np.float32)
    reference, before = array_ref(array), array.tobytes()
    with Client(connection) as client:
        client.submit(small_spec(), {reference.sha256: array})
        array[:] = -1
        with serving(connection) as server:
            until(client, JobFinished)
            assert server.blobs[reference.sha256] == before


def test_a_server_that_comes_later_is_found_soon(connection):
    with Client(connection) as client:
        until(client, Disconnected)
        time.sleep(0.5)
        with serving(connection):
            start = time.monotonic()
            until(client, Connected)
            assert time.monotonic() - start < 2.0


def test_after_a_restart_on_other_ports_the_client_is_back_and_repeats_what_was_not_answered(connection):
    with Client(connection) as client:
        with serving(connection, silent=False) as first:
            until(client, Connected)
            first.silent = True
            key = client.submit(small_spec(), {})
            time.sleep(0.1)
        until(client, Disconnected)
        with serving(connection) as second:
            assert until(client, Connected).again
            assert until(client, JobFinished).key == key
            assert [item.key for item in second.submitted] == [key]


def test_a_server_that_hangs_is_left(connection):
    quick = SessionConfig(heartbeat=HeartbeatConfig(interval=0.1, liveness=3))
    with serving(connection) as server, Client(connection, config=quick) as client:
        until(client, Connected)
        server.silent = True
        assert "silent" in until(client, Disconnected).reason


def test_a_wrong_client_key_is_a_typed_refusal(connection):
    known = keypair()
    with serving(connection, keys=[known[0].encode()]), Client(connection) as client:
        assert until(client, Refused).error.code is ErrorCode.AUTH_REFUSED


def test_a_key_on_the_list_is_let_in(connection):
    known = keypair()
    with FakeServer(connection, keys=[known[0].encode()]).start(known), Client(connection) as client:
        until(client, Connected)


def test_another_servers_key_is_a_typed_refusal(connection):
    with serving(connection):
        address = ServerAddress.from_connection_file(connection)
        other, _secret = keypair()
        wrong = ServerAddress(
            address.host,
            address.ctl_port,
            address.bulk_port,
            other,
            address.client_public,
            address.client_secret,
        )
        with Client(wrong) as client:
            assert until(client, Refused).error.code is ErrorCode.AUTH_REFUSED


def test_frames_that_are_no_message_end_the_connection_not_the_client(connection):
    with serving(connection) as server, Client(connection) as client:
        until(client, Connected)
        server.extra.append([b"TXP1", b"\xc1garbage"])
        client.status()
        assert "no message" in until(client, Disconnected).reason
        until(client, Connected)


@pytest.mark.parametrize("serve", [True, False])
def test_closing_is_quick_and_leaves_nothing(connection, serve):
    threads = threading.active_count()
    descriptors = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    for _ in range(3):
        with serving(connection) if serve else threading.Lock():
            client = Client(connection)
            until(client, Connected if serve else Disconnected)
            start = time.monotonic()
            assert client.close()
            assert time.monotonic() - start < 1.0
            assert not client.alive
    gc.collect()
    assert threading.active_count() == threads
    if descriptors:
        wait_until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)


def test_a_closed_client_says_so(connection):
    client = Client(connection)
    client.close()
    with pytest.raises(ClientClosedError, match="make a new one"):
        client.status()
    assert client.close()


def test_a_bad_key_is_refused_in_the_call(connection):
    with Client(connection) as client, pytest.raises(FieldError):
        client.submit(small_spec(), {}, key="no key")


def test_a_defect_in_the_thread_becomes_an_event(connection):
    client = Client(connection)

    def defect(session):
        raise ZeroDivisionError("a defect")

    client._post(defect)
    assert "ZeroDivisionError: a defect" in until(client, ClientFailed).text
    assert client.close()


class FailingStarter:
    def __init__(self, error=None):
        self.error = error
        self.starts = 0
        self.closed = False

    def start(self):
        self.starts += 1
        if self.error is not None:
            raise self.error

    def failure(self):
        return "no torch" if self.starts else None

    def close(self):
        self.closed = True


@pytest.mark.parametrize("error", [None, OSError("no python")])
def test_a_server_that_cannot_be_started_is_told(connection, error):
    starter = FailingStarter(error)
    with Client(connection, starter=starter) as client:
        until(client, ServerStarting)
        assert ("no python" if error else "no torch") in until(client, ServerStartFailed).text
    assert starter.starts == 1
    assert starter.closed


@pytest.mark.slow
def test_a_forgotten_client_keeps_no_program_alive(connection):
    code = (
        "import sys, pathlib; from blender_addon.client import Client; "
        f"client = Client(pathlib.Path({str(connection)!r})); sys.exit(7)"
    )
    start = time.monotonic()
    result = subprocess.run([sys.executable, "-c", code], timeout=60, check=False, cwd=Path(__file__).parents[3])
    assert result.returncode == 7
    assert time.monotonic() - start < 20


@pytest.mark.slow
def test_the_client_needs_neither_torch_nor_pgc_nor_bpy():
    code = (
        "import sys, blender_addon.client; "
        "print([name for name in ('torch', 'pgc', 'bpy', 'server', 'platformdirs', 'psutil') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert result.stdout.strip() == "[]"
