# SPDX-License-Identifier: Apache-2.0
"""A client that hangs up while its messages wait at a socket of ours that is full."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import zmq

ROOT = Path(__file__).resolve().parents[3]
_SOCKET = """
import sys, zmq
from server.broker.sessions.auth import CLIENT_DOMAIN, ZapHandler, new_key_pair
from server.broker.sessions.sockets import Router, RouterSettings
context = zmq.Context()
zap, keys, client = ZapHandler(context), new_key_pair(), new_key_pair()
zap.allow(CLIENT_DOMAIN, frozenset([client.public]))
settings = RouterSettings(CLIENT_DOMAIN, 1 << 18, 1 << 20, queue=8, max_backlog=1 << 20)
router = Router(context, keys, settings, lambda rid: None)
print(router.bind("tcp://127.0.0.1:*"), keys.public, client.public, client.secret, flush=True)
sys.stdin.readline()
found = len(list(router.receive(1000, float("inf"))))
router.close(); zap.close(); context.term()
print(found, flush=True)
"""


def fill(flood: zmq.Socket) -> None:
    """Sends until nothing has gone for two seconds: both queues, and what lies between them, are full."""
    last, end = time.monotonic(), time.monotonic() + 60
    while time.monotonic() < min(last + 2.0, end):
        try:
            flood.send(bytes(100_000), zmq.NOBLOCK)
            last = time.monotonic()
        except zmq.Again:
            time.sleep(0.01)
    assert time.monotonic() < end, "nothing stopped the flood: the queue is not full"


@pytest.mark.slow
def test_a_full_socket_whose_client_hangs_up_does_not_end_the_process():
    """libzmq 4.3.5 with its own heartbeats ends the process here: "Assertion failed: !_io_error", exit code -6."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SOCKET], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    port, *keys = process.stdout.readline().split()
    context = zmq.Context()
    flood = context.socket(zmq.DEALER)
    flood.sndhwm, flood.linger = 100, 0
    flood.curve_serverkey, flood.curve_publickey, flood.curve_secretkey = (key.encode() for key in keys)
    monitor = flood.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    flood.connect(f"tcp://127.0.0.1:{port}")
    assert monitor.poll(60_000), "the socket has answered"
    flood.disable_monitor()
    monitor.close(linger=0)
    fill(flood)
    flood.close(linger=0)
    time.sleep(4.5)
    told, _ = process.communicate("\n")
    context.term()
    assert process.returncode == 0
    # The queue holds about eight; the system gives what arrived before the end, all of it or not.
    assert int(told) > 0
