# SPDX-License-Identifier: Apache-2.0
"""Pairing: another machine's key comes onto the allow-list by a code that works once.

The code is an address and 128 random bits. Both sides make the same CURVE key pair of the bits, so that only who has
the code can talk to the pairing port at all; everybody else fails at the handshake, before a byte is read. The
other machine makes its own key pair and sends the public half; its secret never travels. After one key the port closes.

Code:     HOST:PORT:BITS           BITS: base32 in lower case without padding, 26 characters
Request:  {"name": "laptop", "public": "<Z85>"}                                     JSON, one frame, DEALER
Answer:   {"host", "ctl_port", "bulk_port", "server_public", "protocol"}, or {"error": "one sentence"}
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from dataclasses import asdict, dataclass
from typing import Any, Protocol, cast

import zmq
from zmq.utils import z85

from server.config import ListenConfig
from server.errors import ServerError

__all__ = ["Invitation", "KeyKeeper", "PairingError", "PairingServer", "ServerFacts"]

_BITS = 128
_SALT = b"pgc-server pairing 1"
_MAX_REQUEST = 4096


class PairingError(ServerError):
    """Pairing with another machine failed."""


@dataclass(frozen=True)
class Invitation:
    """What the code says. `bits` is secret until it was used."""

    host: str
    port: int
    bits: bytes

    def __repr__(self) -> str:
        return f"Invitation({self.host}:{self.port})"  # Never the bits.

    def code(self) -> str:
        """Returns the code as it is typed or pasted."""
        text = base64.b32encode(self.bits).decode("ascii").rstrip("=").lower()
        return f"{self.host}:{self.port}:{text}"

    def keys(self) -> tuple[bytes, bytes]:
        """Returns the pairing port's CURVE key pair: public and secret, Z85."""
        secret = z85.encode(hashlib.sha256(_SALT + self.bits).digest())
        return zmq.curve_public(secret), secret


@dataclass(frozen=True)
class ServerFacts:
    """What the other machine needs to connect. Ports are 0 where the server does not run yet."""

    protocol: tuple[int, int]
    host: str
    ctl_port: int
    bulk_port: int
    server_public: str


class KeyKeeper(Protocol):
    """Puts the other machine's key on the list, before it is told that it is paired."""

    def keep(self, public: str) -> None:
        """Raises ServerError or OSError where it cannot be."""
        ...

    def give_back(self) -> None:
        """Takes the key off the list again: nobody knows of it."""
        ...


class PairingServer:
    """The pairing port: open until one key came, or time is up."""

    def __init__(self, host: str, facts: ServerFacts) -> None:
        self._facts = facts
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        bits = secrets.token_bytes(_BITS // 8)
        public, secret = Invitation(host, 0, bits).keys()
        self._socket.linger = 1000
        self._socket.router_mandatory = 1
        self._socket.maxmsgsize = _MAX_REQUEST
        self._socket.ipv6 = ":" in host
        self._socket.curve_server = True
        self._socket.curve_publickey, self._socket.curve_secretkey = public, secret
        try:
            self._socket.bind(ListenConfig(host=host).endpoint(0))
        except zmq.ZMQError as error:
            self.close()
            raise PairingError(
                f"The address {host} is none of this machine ({error.strerror}); give another."
            ) from error
        endpoint = cast(bytes, self._socket.getsockopt(zmq.LAST_ENDPOINT)).decode()
        self.invitation = Invitation(host, int(endpoint.rpartition(":")[2]), bits)

    def close(self) -> None:
        """Closes the port; the code is worth nothing from now on."""
        self._socket.close()
        self._context.term()

    def wait(self, name: str, seconds: float, keeper: KeyKeeper) -> str:
        """Waits for the other machine; returns its public key, which is on the list then, and the other machine knows
        it.

        Raises:
            PairingError: nobody came in time, or the key could not be kept, of which the other machine was told.
        """
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not self._socket.poll(round(min(left, 0.5) * 1000)):
                continue
            frames = self._socket.recv_multipart()
            public = _public_key(frames[-1])
            if public is None:
                self._answer(frames[0], {"error": "The request holds no CURVE public key."})
                continue
            try:
                keeper.keep(public)
            except (ServerError, OSError) as error:
                why = error.strerror if isinstance(error, OSError) else str(error)
                self._answer(frames[0], {"error": "The server could not keep this machine's key; it says why there."})
                raise PairingError(f"{name} is not paired, and was told so: {why}") from error
            if self._answer(frames[0], {**asdict(self._facts), "name": name}):
                return public
            keeper.give_back()  # It went away before it was told, and so does not count itself as paired.
        raise PairingError(f"Nobody used the code within {seconds / 60:.0f} minutes; it is worth nothing now.")

    def _answer(self, identity: bytes, content: dict[str, Any]) -> bool:
        """Whether the other machine is still there to be told."""
        try:
            self._socket.send_multipart([identity, json.dumps(content).encode()], zmq.DONTWAIT)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            return False
        return True


def _public_key(data: bytes) -> str | None:
    try:
        public = json.loads(data)["public"]
        return public if len(z85.decode(public)) == 32 else None
    except (ValueError, KeyError, TypeError):
        return None
