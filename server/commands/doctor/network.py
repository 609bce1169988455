# SPDX-License-Identifier: Apache-2.0
"""The doctor's checks of ports and of encrypted transfer."""

from __future__ import annotations

import threading
import time

import zmq

from server.commands.doctor.findings import Finding, failure, ok, warning
from server.config import ListenConfig, ServerPaths
from server.errors import ConfigError
from server.storage.connection import read_connection

__all__ = ["check_echo", "check_port"]

_MIB = 1 << 20
_ECHO_BYTES = 64 * _MIB
_ECHO_FRAME = 256 * 1024
_ECHO_LEAST = 200.0


def check_port(paths: ServerPaths) -> Finding:
    """Checks whether a port can be opened where the server listens, and what that means for a firewall."""
    try:
        connection = read_connection(paths.connection)
    except ConfigError as error:
        return failure("port", str(error), "Stop the server, and start it again.")
    listen = ListenConfig(host=connection.host if connection else "127.0.0.1")
    problem = _bind_problem(listen)
    if problem is not None:
        return failure("port", f"No port can be opened at {listen.host} ({problem}).", "Look at the firewall's rules.")
    if listen.is_loopback:
        return ok("port", f"this machine only ({listen.host}); no firewall is in between")
    return warning(
        "port",
        f"{listen.host}: other machines may connect, if they are paired.",
        f"The firewall must let TCP ports {connection.ctl_port if connection else ''} and the next one in.",
    )


def _bind_problem(listen: ListenConfig) -> str | None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    try:
        socket.bind(listen.endpoint(0))
    except zmq.ZMQError as error:
        return str(error.strerror)
    finally:
        socket.close(linger=0)
        context.term()
    return None


def check_echo(paths: ServerPaths) -> Finding:
    """Measures how fast encrypted data goes over loopback."""
    rate = _echo_rate()
    if rate >= _ECHO_LEAST:
        return ok("transfer", f"{rate:.0f} MiB/s, encrypted, within this machine")
    return warning(
        "transfer",
        f"{rate:.0f} MiB/s, encrypted, within this machine; {_ECHO_LEAST:.0f} or more are usual.",
        "The machine is busy, or security software looks at each packet. Jobs run; big meshes take longer to send.",
    )


def _echo_rate() -> float:
    """MiB/s of `_ECHO_BYTES` from one socket to another with CURVE."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    receiver, sender = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    public, secret = zmq.curve_keypair()
    try:
        receiver.curve_server = True
        receiver.curve_publickey, receiver.curve_secretkey = public, secret
        port = receiver.bind_to_random_port("tcp://127.0.0.1")
        sender.curve_serverkey = public
        sender.curve_publickey, sender.curve_secretkey = zmq.curve_keypair()
        sender.sndhwm = receiver.rcvhwm = 16
        sender.linger = 0
        sender.sndtimeo = receiver.rcvtimeo = 10_000
        sender.connect(f"tcp://127.0.0.1:{port}")
        frame, count = bytes(_ECHO_FRAME), _ECHO_BYTES // _ECHO_FRAME
        sender.send(frame)
        receiver.recv()
        thread = threading.Thread(target=lambda: [sender.send(frame) for _ in range(count)], name="echo")
        start = time.perf_counter()
        thread.start()
        for _ in range(count):
            receiver.recv()
        seconds = time.perf_counter() - start
        thread.join()
        return _ECHO_BYTES / _MIB / seconds
    except zmq.Again:
        return 0.0
    finally:
        sender.close()
        receiver.close()
        context.term()
