# SPDX-License-Identifier: Apache-2.0
"""The other machine's half of `pgc-server pair`: a code that works once becomes a connection file."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, cast

import zmq
from zmq.utils import z85

from ...whole_file import write_whole
from ..errors import ClientError, ConnectionFileError
from .address import ServerAddress

__all__ = ["PairingError", "pair"]

_SALT = b"pgc-server pairing 1"
_BITS = 128
_MAX_ANSWER = 4096


class PairingError(ClientError):
    """The code is wrong, used, or too old."""


def pair(code: str, connection: Path, seconds: float = 10.0) -> ServerAddress:
    """Makes a key pair, hands its public half to the server, and writes the connection file (owner only). Waits.

    Args:
        code: HOST:PORT:LETTERS, as `pgc-server pair` shows it.
        connection: file to write; the secret key never leaves this machine.

    Raises:
        PairingError: the code is wrong, used, or too old, or the server does not run.
        OSError: the file cannot be written.
    """
    host, port, bits = _parse(code)
    _check_place(connection)  # Before the code is used up.
    public, secret = (key.decode("ascii") for key in zmq.curve_keypair())
    content = _ask(host, port, bits, public, seconds)
    if "error" in content:
        raise PairingError(str(content["error"]))
    if not content.get("ctl_port"):
        raise PairingError("The server does not run yet, so it has no ports; start it there, and pair again.")
    data = json.dumps({**content, "client_public": public, "client_secret": secret}).encode()
    try:
        address = ServerAddress.from_json(data, "The server's answer")
    except ConnectionFileError as error:
        raise PairingError(str(error)) from error
    _write(connection, data)
    return address


def _parse(code: str) -> tuple[str, int, bytes]:
    front, _, letters = code.strip().rpartition(":")
    host, _, port = front.rpartition(":")
    try:
        bits = base64.b32decode(letters.upper() + "=" * (-len(letters) % 8))
        number = int(port)
    except ValueError as error:
        raise PairingError("This is no pairing code (such as 192.168.1.5:40123:abcdefg…); copy it again.") from error
    if len(bits) * 8 != _BITS or not 0 < number < 65536 or not host:
        raise PairingError("The pairing code is not complete; copy it again.")
    return host, number, bits


def _ask(host: str, port: int, bits: bytes, public: str, seconds: float) -> dict[str, Any]:
    """The server's answer. Who has the code, and nobody else, knows the pairing port's key."""
    server_key = zmq.curve_public(z85.encode(hashlib.sha256(_SALT + bits).digest()))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    try:
        socket.linger = 0
        socket.setsockopt(zmq.IPV6, int(":" in host))
        socket.setsockopt(zmq.MAXMSGSIZE, _MAX_ANSWER)
        socket.curve_serverkey = server_key
        socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
        socket.connect(f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}")
        socket.send(json.dumps({"public": public}).encode())
        if not socket.poll(round(seconds * 1000)):
            raise PairingError("The other machine does not answer: the code is wrong, was used, or is too old.")
        content = json.loads(socket.recv())
    except (zmq.ZMQError, ValueError) as error:
        raise PairingError(f"The other machine cannot be paired with ({error}); copy the code again.") from error
    finally:
        socket.close(linger=0)
        context.term()
    if not isinstance(content, dict):
        raise PairingError("The other machine answers something else than pgc-server does.")
    return cast("dict[str, Any]", content)


def _check_place(path: Path) -> None:
    """Raises OSError where the connection file could not be written."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        pass


def _write(path: Path, data: bytes) -> None:
    """All or nothing, and readable by the owner alone from the first moment on."""
    write_whole(path, data, 0o600)
