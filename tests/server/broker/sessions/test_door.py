# SPDX-License-Identifier: Apache-2.0
"""Strangers at the door, files that run out, and what an error of the disk is called. Partly with real sockets."""

import errno
import os
import resource
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zmq

from blender_addon.protocol.errors import ErrorCode, Retry
from blender_addon.protocol.messages import Ping, Pong
from server.broker import descriptors
from server.broker.descriptors import LEAST_FILES, Room, patient, ran_out_of_files, room_for
from server.broker.disk_words import disk_error
from server.broker.ports import Address, Channel
from server.broker.sessions.door import Door
from server.config import QuotaConfig, ServerPaths
from server.errors import SpawnError
from server.storage.connection import read_connection
from tests.server.broker.rig import Client, Rig

ROOT = Path(__file__).resolve().parents[4]


def strangers(port: int, count: int) -> list[socket.socket]:
    """Connections that never say a word."""
    return [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(count)]


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while connection.recv(4096):  # ZeroMQ's greeting.
            pass
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def still_open(connections: list[socket.socket], most: int) -> int:
    deadline = time.monotonic() + 60
    while (count := sum(is_open(one) for one in connections)) > most and time.monotonic() < deadline:
        time.sleep(0.05)
    return count


def still_here(sockets: list[zmq.Socket]) -> int:
    """How many of these get an answer to what is no message."""
    time.sleep(0.5)
    for one in sockets:
        one.sndtimeo = 0
        try:
            one.send_multipart([b"TXP1", b"\x80"])
        except zmq.Again:
            continue
    time.sleep(1.0)
    return sum(bool(one.poll(0)) for one in sockets)


@pytest.fixture
def narrow(rig: Rig, monkeypatch) -> Rig:
    """A server that may have 192 files open: 96 connections, 16 strangers."""
    monkeypatch.setattr("server.broker.main.open_files_limit", lambda: LEAST_FILES)
    rig.start()
    return rig


def test_strangers_are_ended_the_oldest_first_and_keep_nobody_out(narrow: Rig) -> None:
    client = narrow.client()
    crowd = [
        *strangers(client.connection.ctl_port, 40),
        *strangers(client.connection.bulk_port, 40),
    ]
    assert 0 < still_open(crowd, 16) <= 16
    # The two channels have monitors of their own, so that the order is known within each.
    assert not any(is_open(one) for one in (*crowd[:24], *crowd[40:64])), "the oldest went"
    assert client.ask(Ping(1)) == Pong(1)
    client.upload()
    assert narrow.client().ask(Ping(2)) == Pong(2)
    for one in crowd:
        one.close()


def test_strangers_that_come_again_and_again_keep_nobody_out(narrow: Rig) -> None:
    client = narrow.client()
    crowd: list[socket.socket] = []
    for number in range(20):
        crowd += strangers(client.connection.ctl_port, 20)
        assert client.ask(Ping(number)) == Pong(number)
    with socket.create_connection(("127.0.0.1", client.connection.ctl_port)) as web:
        web.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert narrow.client().ask(Ping(1)) == Pong(1)
    assert still_open(crowd, 16) <= 16
    for one in crowd:
        one.close()


@pytest.mark.slow
def test_connections_with_a_key_that_belong_to_no_session_make_room_for_those_that_do(narrow: Rig) -> None:
    """A guest's program with a fault: it opens a connection for each of its questions, and closes none."""
    client = narrow.client()
    context = zmq.Context()
    crowd = []
    for _ in range(150):
        one = context.socket(zmq.DEALER)
        one.linger, one.reconnect_ivl = 0, -1
        one.curve_serverkey = client.connection.server_public.encode()
        one.curve_publickey = client.connection.client_public.encode()
        one.curve_secretkey = client.connection.client_secret.encode()
        one.connect(f"tcp://127.0.0.1:{client.connection.ctl_port}")
        one.send_multipart([b"TXP1", b"\x80"])
        crowd.append(one)
        assert one.poll(5000), "it was heard"
        one.recv_multipart()
    assert client.ask(Ping(1)) == Pong(1)
    other = narrow.client()
    assert other.ask(Ping(2)) == Pong(2)
    assert still_here(crowd) < 96, "the oldest were ended"
    assert other.ask(Ping(3)) == client.ask(Ping(3)) == Pong(3)
    for one in crowd:
        one.close()
    context.term()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_server_with_256_files_serves_its_artist_among_300_strangers(tmp_path: Path) -> None:
    """What was seen: uploads said "The server's disk is almost full", and nobody else could connect."""

    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    command = [sys.executable, "-m", "server", "start", "--data", str(tmp_path / "d"), "--device", "cpu"]
    server = subprocess.Popen(command, cwd=ROOT, preexec_fn=few_files)
    crowd: list[socket.socket] = []
    try:
        path = ServerPaths(tmp_path / "d").connection
        deadline = time.monotonic() + 30
        while not path.exists():
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        artist = Client(read_connection(path), timeout=30)
        artist.hello()
        crowd = [*strangers(artist.connection.ctl_port, 150), *strangers(artist.connection.bulk_port, 150)]
        artist.upload()
        artist.submit()
        other = Client(read_connection(path), timeout=30)
        other.hello()
        for client in (artist, other):
            client.close()
    finally:
        for one in crowd:
            one.close()
        server.terminate()
        server.wait(60)


class Sockets:
    """A door whose connections are only told of."""

    def __init__(self, room: Room) -> None:
        self.context = zmq.Context()
        self.sockets = {channel: self.context.socket(zmq.ROUTER) for channel in Channel}
        self.ended: list[tuple[Channel, int]] = []
        self.door = Door(self.sockets, room)
        self.door.end = self.ended.append

    def happens(self, event: int, *descriptors: int, channel: Channel = Channel.CTL) -> None:
        for descriptor in descriptors:
            self.door._happened(channel, event, descriptor)

    def says(self, *descriptors: int) -> None:
        for descriptor in descriptors:
            self.door.heard(Address(Channel.CTL, b"x", "", descriptor))

    def close(self) -> None:
        self.door.close()
        for one in self.sockets.values():
            one.close()
        self.context.term()


@pytest.fixture
def told():
    """Four connections, two of them strangers."""
    found = Sockets(Room(connections=4, strangers=2, uploads=1))
    yield found
    found.close()


def test_who_has_spoken_is_no_stranger_any_more(told: Sockets) -> None:
    told.happens(zmq.EVENT_ACCEPTED, 10, 11)
    told.says(10, 10)
    told.happens(zmq.EVENT_ACCEPTED, 12)
    assert told.ended == []
    told.happens(zmq.EVENT_ACCEPTED, 13)
    assert told.ended == [(Channel.CTL, 11)]


def test_a_descriptor_that_comes_again_is_another_connection(told: Sockets) -> None:
    told.happens(zmq.EVENT_ACCEPTED, 10)
    told.says(10)
    told.happens(zmq.EVENT_DISCONNECTED, 10)
    told.happens(zmq.EVENT_ACCEPTED, 10, 11)
    told.happens(zmq.EVENT_ACCEPTED, 10, channel=Channel.BULK)
    assert told.ended == [(Channel.CTL, 10)], "it is a stranger again; the one on the other channel is another"
    told.happens(zmq.EVENT_DISCONNECTED, 10)
    assert len(told.door) == 2


def test_too_many_that_were_heard_go_the_oldest_first_but_none_of_a_session(told: Sockets) -> None:
    """There is room for two beside the two strangers."""
    for descriptor in range(10, 15):
        told.happens(zmq.EVENT_ACCEPTED, descriptor)
        told.says(descriptor)
    assert told.door.is_crowded()
    told.door.make_room([Address(Channel.CTL, b"x", "", 10)])
    assert told.ended == [(Channel.CTL, 11), (Channel.CTL, 12), (Channel.CTL, 13)]
    assert not told.door.is_crowded()
    told.happens(zmq.EVENT_ACCEPTED, 15, 16)
    assert len(told.ended) == 3, "who comes next is let in"


def test_a_connection_is_cut_once_and_after_its_last_words(told: Sockets) -> None:
    address = Address(Channel.CTL, b"x", "", 10)
    now = time.monotonic()
    told.door.cut(address)
    told.door.tick(now)
    assert told.ended == []
    for _ in range(3):
        told.door.tick(now + 5)
        told.door.cut(address)
    assert told.ended == [(Channel.CTL, 10)]


def test_a_connection_that_cannot_be_accepted_is_said_once(told: Sockets, caplog) -> None:
    told.happens(zmq.EVENT_ACCEPT_FAILED, *[errno.EMFILE] * 50)
    assert [record.getMessage() for record in caplog.records] == [
        f"a connection could not be accepted: {os.strerror(errno.EMFILE)}"
    ]


def test_ending_what_is_no_connection_any_more_harms_nothing(tmp_path: Path) -> None:
    context = zmq.Context()
    sockets = {Channel.CTL: context.socket(zmq.ROUTER)}
    door = Door(sockets, room_for(256))
    with (tmp_path / "a file").open("wb") as file:
        for descriptor in (file.fileno(), 99_999, -1):
            door.end((Channel.CTL, descriptor))
        file.write(b"as before")
    assert (tmp_path / "a file").read_bytes() == b"as before"
    door.close()
    sockets[Channel.CTL].close()
    context.term()


def test_monitors_are_read_until_they_are_off(monkeypatch) -> None:
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    door = Door({Channel.CTL: router}, room_for(256))
    alive: list[bool] = []
    off = zmq.Socket.disable_monitor

    def watched(of: zmq.Socket) -> None:
        alive.append(door._thread.is_alive())
        off(of)

    monkeypatch.setattr(zmq.Socket, "disable_monitor", watched)
    door.close()
    assert alive == [True]
    assert not door._thread.is_alive()
    router.close()
    context.term()


@pytest.mark.parametrize("limit", [None, 20, LEAST_FILES, 256, 1024, 4096, 1 << 30])
def test_files_are_shared_so_that_there_are_enough_for_all(limit: int | None) -> None:
    room = room_for(limit)
    quotas = room.within(QuotaConfig())
    most = LEAST_FILES if limit is not None and limit < LEAST_FILES else limit or 1 << 16
    assert room.connections + room.uploads + 64 <= most
    assert 8 <= room.strangers < room.connections
    assert 2 * quotas.sessions + room.strangers <= room.connections
    assert quotas.sessions >= 30
    assert quotas.uploads >= QuotaConfig().uploads_per_user


def test_what_finds_no_free_file_is_tried_again(monkeypatch) -> None:
    monkeypatch.setattr(descriptors, "_PAUSE_SECONDS", 0.001)
    errors: list[Exception] = [OSError(errno.EMFILE, "x"), OSError(errno.ENFILE, "x"), _from(errno.EMFILE)]

    def work() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    assert patient(work)() == "done"


def test_what_fails_otherwise_is_not_tried_again_and_patience_ends(monkeypatch) -> None:
    tries = []

    def work() -> None:
        tries.append(1)
        raise OSError(errno.ENOSPC, "x")

    with pytest.raises(OSError, match="x"):
        patient(work)()
    assert len(tries) == 1
    monkeypatch.setattr(descriptors, "_PATIENCE_SECONDS", 0.1)

    def never() -> None:
        raise OSError(errno.EMFILE, "x")

    began = time.monotonic()
    with pytest.raises(OSError, match="x") as raised:
        patient(never)()
    assert 0.1 <= time.monotonic() - began < 5
    assert ran_out_of_files(raised.value)


def _from(number: int) -> SpawnError:
    error = SpawnError("The worker cannot be started.")
    error.__cause__ = OSError(number, os.strerror(number))
    return error


def _sqlite(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("something")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENOSPC, "x"), ErrorCode.RES_DISK, "The server's disk is full."),
        (OSError(errno.EDQUOT, "x"), ErrorCode.RES_DISK, "The server's disk is full."),
        (OSError(errno.EMFILE, "x"), ErrorCode.BUSY, "as many files and connections open"),
        (OSError(errno.ENFILE, "x"), ErrorCode.BUSY, "as many files and connections open"),
        (_from(errno.EMFILE), ErrorCode.BUSY, "as many files and connections open"),
        (OSError(errno.EROFS, "x"), ErrorCode.RES_DISK, "may not write to its data folder (Read-only"),
        (PermissionError(errno.EACCES, "x"), ErrorCode.RES_DISK, "may not write to its data folder (Permission"),
        (FileNotFoundError(errno.ENOENT, "x"), ErrorCode.RES_DISK, "data folder, or a part of it, is gone"),
        (OSError(errno.EIO, "x"), ErrorCode.RES_DISK, "disk gave an error (Input/output error)"),
        (_sqlite(sqlite3.SQLITE_FULL), ErrorCode.RES_DISK, "The server's disk is full."),
        (_sqlite(sqlite3.SQLITE_READONLY_DBMOVED), ErrorCode.RES_DISK, "may not write"),
        (_sqlite(sqlite3.SQLITE_IOERR_WRITE), ErrorCode.RES_DISK, "disk gave an error (Input/output error)"),
        (sqlite3.OperationalError("disk I/O error"), ErrorCode.RES_DISK, "disk gave an error (disk I/O error)"),
    ],
)
def test_an_error_of_the_disk_is_called_what_it_is(error: Exception, code: ErrorCode, said: str) -> None:
    found = disk_error(error)
    assert found is not None
    assert (found.code, found.retry) == (code, Retry.LATER)
    assert said in found.text


@pytest.mark.parametrize("error", [ValueError("x"), sqlite3.IntegrityError("x"), sqlite3.Error("no code")])
def test_what_is_no_error_of_the_disk_is_not_called_one(error: Exception) -> None:
    assert disk_error(error) is None
