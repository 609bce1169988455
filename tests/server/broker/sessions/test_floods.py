# SPDX-License-Identifier: Apache-2.0
"""Floods of a client that has a key, against a real broker; another client is there all the time."""

import hashlib
import time

import msgpack
import psutil
import pytest
import zmq

from blender_addon.protocol.codec import Envelope, decode, encode, request_id
from blender_addon.protocol.messages import BlobPut, Ping, Pong
from server.broker import intake
from server.broker.sessions.auth import add_client, new_key_pair
from tests.server.broker.rig import Rig

MIB = 1 << 20


@pytest.fixture
def hostile_keys(rig: Rig):
    keys = new_key_pair()
    add_client(rig.paths, "hostile", keys.public)
    rig.start()
    return keys


def _send(client, count: int, size: int, bulk: bool) -> None:
    """One message of so many frames. ZeroMQ sends none of it before it is whole here."""
    socket = client.sockets[bulk]
    socket.sndtimeo = 500
    frame = bytes(size)
    for number in range(count):
        try:
            socket.send(frame, 0 if number == count - 1 else zmq.SNDMORE, copy=size < 1000)
        except zmq.Again:
            return


def _is_deaf(client, seconds: float) -> bool:
    """Whether nothing is answered within so many seconds."""
    client.sockets[0].send_multipart(encode(Envelope(Ping(1), request_id())))
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if client.sockets[0].poll(1000 * left) and decode(client.sockets[0].recv_multipart()).message == Pong(1):
            return False
    return True


def test_a_message_without_end_ends_with_its_connection_and_costs_no_memory(rig: Rig, hostile_keys):
    """1,200 frames of 1 MiB took a broker to 1.2 GiB, and it kept them."""
    other, hostile = rig.client(), rig.client(hostile_keys)
    before = psutil.Process().memory_info().rss
    _send(hostile, 300, MIB, bulk=True)
    deadline = time.monotonic() + 60
    while "a connection is cut" not in rig.paths.log_file.read_text():
        assert other.ask(Ping(1)) == Pong(1)
        assert time.monotonic() < deadline
    # Both ends are in this process; the frames of the sender are one.
    assert psutil.Process().memory_info().rss - before < 150 * MIB
    assert "hostile is cut off" not in rig.paths.log_file.read_text()


@pytest.mark.slow
def test_a_message_of_many_frames_is_answered_and_its_key_rests(rig: Rig, hostile_keys, monkeypatch):
    """Each is read to its end before anybody else's, so that a second one must not come at once."""
    monkeypatch.setattr(intake, "BAN_SECONDS", 1.0)
    other, hostile = rig.client(), rig.client(hostile_keys)
    _send(hostile, 5000, 0, bulk=False)
    answer = hostile.receive(60.0)
    assert answer is not None
    assert answer.message.error.code.value == "PROTO.TOO_LARGE"
    assert "cut off for 1 s" in answer.message.error.text
    assert other.ask(Ping(1)) == Pong(1)
    again = rig.client(hostile_keys, hello=False)
    assert _is_deaf(again, 1.2)
    assert not _is_deaf(rig.client(hostile_keys, hello=False), 5.0)


def test_who_heeds_no_busy_is_cut_off(rig: Rig, hostile_keys):
    other, hostile = rig.client(), rig.client(hostile_keys)
    body = {"x": [[None] * 4000] * 20}
    header = msgpack.packb({"v": [1, 0], "t": "SUBMIT", "id": "1" * 32, "body": body, "bufs": []})
    codes = set()
    for _ in range(40):
        for _ in range(50):
            hostile.sockets[0].send_multipart([b"TXP1", header])
        assert other.ask(Ping(1)) == Pong(1)
        while hostile.sockets[0].poll(0):
            codes.add(decode(hostile.sockets[0].recv_multipart()).message.error.code.value)
        if "hostile is cut off" in rig.paths.log_file.read_text():
            break
    assert "hostile is cut off" in rig.paths.log_file.read_text()
    assert codes <= {"PROTO.BAD_FRAME", "BUSY", "PROTO.TOO_LARGE"}


def test_uploads_in_full_windows_are_no_flood(rig: Rig, hostile_keys):
    """16 MiB on the way at once, as the largest window allows."""
    client = rig.client(hostile_keys)
    data = bytes(16 * MIB)
    sha256 = hashlib.sha256(data).hexdigest()
    ids = [
        client.post(BlobPut(sha256, len(data), at), data[at : at + MIB], bulk=True) for at in range(0, len(data), MIB)
    ]
    answers = [client.receive(60.0) for _ in ids]
    assert {answer.message.complete for answer in answers if answer is not None} == {False, True}
    assert "cut" not in rig.paths.log_file.read_text()
