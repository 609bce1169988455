# SPDX-License-Identifier: Apache-2.0
"""A client that hangs up in the middle of its own flood costs nobody the server."""

import dataclasses
import time

import pytest
import zmq

from blender_addon.protocol.codec import Envelope, encode, request_id
from blender_addon.protocol.messages import Ping, Pong, Submit
from tests.benchmarks.raw_client import RawClient, dealer
from tests.benchmarks.standin_broker import StandinServer
from tests.e2e.server_rig import oracle_job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.usefixtures("warm_processes")]
FLOODS = 3


def test_a_flood_that_hangs_up_does_not_end_the_server():
    """With libzmq's heartbeats the process was ended by an assertion of libzmq within two seconds of this."""
    spec = oracle_job()[0]
    meshes = tuple(dataclasses.replace(spec.meshes[0], name="m" * 2400) for _ in range(63))
    long_header = encode(Envelope(Submit("0" * 32, dataclasses.replace(spec, meshes=meshes)), request_id()))
    context = zmq.Context()
    with StandinServer(users=1) as server:
        address = server.address(server.users[0])
        for _ in range(FLOODS):
            flood = dealer(context, address.ctl_endpoint, address, queue=2000)
            for _ in range(320):
                flood.send_multipart(long_header)
            time.sleep(0.3)
            flood.close(linger=200)
            time.sleep(2.5)
        client = RawClient(context, address)
        client.hello()
        assert client.ask(Ping(1), Pong) == Pong(1)
        client.close()
    context.term()
