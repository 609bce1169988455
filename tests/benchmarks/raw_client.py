# SPDX-License-Identifier: Apache-2.0
"""A client of two sockets and no thread, for measurements: what it adds to a round trip is little."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeVar

import zmq

from blender_addon.client import ServerAddress
from blender_addon.protocol.codec import Buffer, Envelope, decode, encode, request_id
from blender_addon.protocol.messages import Hello, Message, Welcome

Answer = TypeVar("Answer", bound=Message)


def dealer(context: zmq.Context, endpoint: str, address: ServerAddress, *, queue: int = 64) -> zmq.Socket:
    """A connected DEALER with CURVE. `queue`: messages that it holds in each direction."""
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.sndhwm = socket.rcvhwm = queue
    socket.curve_serverkey = address.server_public.encode()
    socket.curve_publickey = address.client_public.encode()
    socket.curve_secretkey = address.client_secret.encode()
    socket.connect(endpoint)
    return socket


class RawClient:
    """One session. `queue`: see `dealer`."""

    def __init__(self, context: zmq.Context, address: ServerAddress, queue: int = 64) -> None:
        self.ctl = dealer(context, address.ctl_endpoint, address, queue=queue)
        self.bulk = dealer(context, address.bulk_endpoint, address, queue=queue)
        self.session: str | None = None
        self.unasked: list[Envelope] = []

    def hello(self) -> Welcome:
        """Say it on both channels."""
        welcome = self.ask(Hello(((1, 0),), "benchmark"), Welcome)
        self.session = welcome.session
        self.ask(Hello(((1, 0),), "benchmark", self.session), Welcome, bulk=True)
        return welcome

    def post(self, message: Message, *buffers: Buffer, bulk: bool = False) -> str:
        """Send; returns the request's id. Raises zmq.Again where the socket takes no more."""
        envelope = Envelope(message, request_id(), session=self.session, buffers=buffers)
        (self.bulk if bulk else self.ctl).send_multipart(encode(envelope), zmq.NOBLOCK)
        return envelope.id

    @staticmethod
    def received(socket: zmq.Socket, most: int = 1000) -> Iterator[Envelope]:
        """What is there, `most` messages at most."""
        for _ in range(most):
            try:
                yield decode(socket.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return

    def ask(
        self, message: Message, kind: type[Answer], *buffers: Buffer, bulk: bool = False, timeout: float = 60.0
    ) -> Answer:
        """Send and wait for an answer of this kind; what else comes is kept in `unasked`."""
        wanted = self.post(message, *buffers, bulk=bulk)
        socket = self.bulk if bulk else self.ctl
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            socket.poll(1000 * left)
            for envelope in self.received(socket, 1):
                if envelope.re != wanted:
                    self.unasked.append(envelope)
                    continue
                if not isinstance(envelope.message, kind):
                    raise RuntimeError(f"{type(message).__name__} was answered with {envelope.message}.")
                return envelope.message
        raise TimeoutError(f"{type(message).__name__} was not answered within {timeout:g} s.")

    def close(self) -> None:
        self.ctl.close()
        self.bulk.close()
