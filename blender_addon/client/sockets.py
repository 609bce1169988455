# SPDX-License-Identifier: Apache-2.0
"""The sockets of one connection. Used by the client's thread alone."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import zmq
from zmq.utils.monitor import parse_monitor_message

from ..protocol.codec import Buffer
from .access.address import ServerAddress
from .link import Loss
from .requests import Channel

__all__ = ["Sockets"]

_MAX_FRAME = 1 << 20
_HWM = {Channel.CTL: 64, Channel.BULK: 16}
_WATCHED = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


@dataclass
class _Line:
    socket: zmq.Socket[bytes]
    monitor: zmq.Socket[bytes]
    outbox: deque[list[Buffer]] = field(default_factory=deque[list[Buffer]])
    connected: bool = False
    handshaken: bool = False


class Sockets:
    """A DEALER for each channel, with a monitor that tells a wrong key from a server that is not there.

    libzmq's own reconnection is off: what it would silently drop, the session sends again itself.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: ServerAddress) -> None:
        self._lines = {
            Channel.CTL: _open(context, address, address.ctl_endpoint, _HWM[Channel.CTL]),
            Channel.BULK: _open(context, address, address.bulk_endpoint, _HWM[Channel.BULK]),
        }

    def close(self) -> None:
        """Closes both at once; what was not sent is dropped."""
        for line in self._lines.values():
            line.socket.disable_monitor()
            line.monitor.close(linger=0)
            line.socket.close(linger=0)

    def register(self, poller: zmq.Poller) -> None:
        """Makes a poller wait for what can happen here."""
        for line in self._lines.values():
            poller.register(line.socket, zmq.POLLIN | (zmq.POLLOUT if line.outbox else 0))
            poller.register(line.monitor, zmq.POLLIN)

    def send(self, channel: Channel, frames: list[Buffer]) -> None:
        """Sends now, or as soon as there is room."""
        self._lines[channel].outbox.append(frames)
        self._flush(self._lines[channel])

    def flush(self) -> None:
        """Sends what waits, as far as there is room."""
        for line in self._lines.values():
            self._flush(line)

    def receive(self, channel: Channel) -> list[Buffer] | None:
        """Returns the next message; None where there is none. Large frames stay where libzmq has them."""
        try:
            if channel is Channel.CTL:
                return list[Buffer](self._lines[channel].socket.recv_multipart(zmq.NOBLOCK))
            return [frame.buffer for frame in self._lines[channel].socket.recv_multipart(zmq.NOBLOCK, copy=False)]
        except zmq.Again:
            return None

    def losses(self) -> list[Loss]:
        """Returns what the monitors saw go wrong."""
        found: list[Loss] = []
        for line in self._lines.values():
            while (event := _next_event(line)) is not None:
                loss = _loss_of(line, event)
                if loss is not None:
                    found.append(loss)
        return found

    @staticmethod
    def _flush(line: _Line) -> None:
        while line.outbox:
            try:
                line.socket.send_multipart(line.outbox[0], zmq.NOBLOCK)
            except zmq.Again:
                return
            line.outbox.popleft()


def _open(context: zmq.Context[zmq.Socket[bytes]], address: ServerAddress, endpoint: str, hwm: int) -> _Line:
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.sndhwm = socket.rcvhwm = hwm
    socket.setsockopt(zmq.IPV6, int(":" in address.host))
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.RECONNECT_IVL, -1)
    socket.setsockopt(zmq.MAXMSGSIZE, _MAX_FRAME)
    socket.setsockopt(zmq.CONNECT_TIMEOUT, 4000)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 10_000)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 2000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 6000)
    socket.setsockopt(zmq.HEARTBEAT_TTL, 6000)
    socket.curve_serverkey = address.server_public.encode("ascii")
    socket.curve_publickey = address.client_public.encode("ascii")
    socket.curve_secretkey = address.client_secret.encode("ascii")
    monitor = socket.get_monitor_socket(_WATCHED)
    monitor.linger = 0
    socket.connect(endpoint)
    return _Line(socket, monitor)


def _next_event(line: _Line) -> int | None:
    try:
        frames = line.monitor.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:
        return None
    return int(parse_monitor_message(frames)["event"])


def _loss_of(line: _Line, event: int) -> Loss | None:
    """The loss that an event of the monitor means; None for good news."""
    match event:
        case zmq.EVENT_CONNECTED:
            line.connected = True
        case zmq.EVENT_HANDSHAKE_SUCCEEDED:
            line.handshaken = True
        case zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            return Loss.AUTH
        case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            return Loss.HANDSHAKE
        case zmq.EVENT_CLOSED | zmq.EVENT_DISCONNECTED:
            if line.handshaken:
                return Loss.CLOSED
            return Loss.HANDSHAKE if line.connected else Loss.NOBODY
        case _:
            pass
    return None
