# SPDX-License-Identifier: Apache-2.0
"""What a web page in the artist's browser can send to a server on the same machine gets nowhere."""

from __future__ import annotations

import base64
import socket
import time

import pytest

from blender_addon.protocol.codec import Envelope, encode, request_id
from blender_addon.protocol.messages import Drain, ListJobs, Ping, Pong, Status
from tests.e2e.security_rig import Started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.usefixtures("warm_processes")]

_HOST = b"Host: 127.0.0.1\r\nOrigin: https://evil.example\r\n"
_KEY = base64.b64encode(b"0123456789abcdef")
REQUESTS = {
    "an image": b"GET /favicon.ico HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a question before a request": b"OPTIONS / HTTP/1.1\r\n" + _HOST + b"Access-Control-Request-Method: POST\r\n\r\n",
    "a form": b"POST /jobs HTTP/1.1\r\n" + _HOST + b"Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nTXP1",
    "a name that leads here": b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "a web socket": b"GET / HTTP/1.1\r\n" + _HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ZWS2.0/CURVE\r\nSec-WebSocket-Key: " + _KEY + b"\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(64),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(512),
}  # fmt: skip
_GREETING = 64
"""Bytes that ZeroMQ says to whoever comes, of itself only."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    found = Started(tmp_path_factory.mktemp("web") / "data")
    # What is compared below must not change by itself: a worker that is still loading would become ready in between.
    deadline = time.monotonic() + 60
    while facts(found)[1] != "ready":
        assert time.monotonic() < deadline, facts(found)
        time.sleep(0.1)
    yield found
    found.close()


def heard(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.settimeout(1.0)
        answer = b""
        try:
            raw.sendall(data)
            while piece := raw.recv(4096):
                answer += piece
        except (TimeoutError, ConnectionError):
            pass
        return answer


def facts(server: Started) -> tuple:
    client = server.client()
    report = client.ask(Status())
    return client.ask(ListJobs()).jobs, report.state, report.queued, report.running


@pytest.mark.parametrize("channel", [0, 1])
def test_a_web_page_gets_nowhere(server, channel):
    before = facts(server)
    for name, request in REQUESTS.items():
        answer = heard(server.ports[channel], request)
        assert len(answer) <= _GREETING, name
        assert not answer.startswith((b"HTTP", b"PRI", b"\x81", b"\x16")), name
        assert server.paths.root.name.encode() not in answer
    assert facts(server) == before


@pytest.mark.parametrize("channel", [0, 1])
def test_a_request_that_carries_frames_of_the_protocol_does_nothing(server, channel):
    """A form may post any bytes, also those of a message; the handshake with keys is what they lack."""
    before = facts(server)
    for message in (Drain(), Ping(1)):
        frames = b"".join(
            bytes([0, len(frame) & 255]) + bytes(frame) for frame in encode(Envelope(message, request_id()))
        )
        body = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL" + bytes(48) + frames
        head = b"POST / HTTP/1.1\r\n" + _HOST + b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n"
        assert len(heard(server.ports[channel], head + body)) <= _GREETING
        # And without the head, as no browser sends it.
        answer = heard(server.ports[channel], body)
        assert b"TXP1" not in answer
    assert facts(server) == before
    assert server.client().ask(Ping(2)) == Pong(2)
