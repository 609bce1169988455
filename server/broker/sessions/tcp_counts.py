# SPDX-License-Identifier: Apache-2.0
"""How many bytes ZeroMQ has read from a TCP connection, as the system counts them.

ZeroMQ hands a message on when it is whole, and bounds its frames, but neither their number nor their sum: who sends a
message without end fills the memory, and nothing of it is seen by who reads. The system's own count shows it.
"""

from __future__ import annotations

import importlib
import socket
import struct
import sys
from dataclasses import dataclass
from typing import Any

__all__ = ["bytes_read", "can_count"]


@dataclass(frozen=True)
class _Layout:
    """Where the bytes that came stand in what the system tells of a connection: 64 bits at `offset`."""

    option: int
    size: int
    offset: int


_LAYOUTS = {
    "linux": _Layout(option=11, size=136, offset=128),  # TCP_INFO, tcpi_bytes_received: Linux 4.1
    "darwin": _Layout(option=0x106, size=112, offset=88),  # TCP_CONNECTION_INFO, tcpi_rxbytes
}
_PROBE = 1000


def bytes_read(descriptor: int) -> int:
    """Counts the bytes that came by this connection, without those that nobody has read yet.

    Raises:
        OSError: it is no TCP connection, or the system does not tell.
    """
    layout = _LAYOUTS.get(sys.platform)
    if layout is None:
        raise OSError("This system does not tell how many bytes came by a connection.")
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=descriptor)
    try:
        facts = connection.getsockopt(socket.IPPROTO_TCP, layout.option, layout.size)
    finally:
        connection.detach()  # It is ZeroMQ's.
    if len(facts) < layout.offset + 8:
        raise OSError("This system tells too little of a connection.")
    (came,) = struct.unpack_from("=Q", facts, layout.offset)
    return came - _unread(descriptor)


def _unread(descriptor: int) -> int:
    # Typed as Any: which functions there are depends on the system that the type checker runs on.
    fcntl: Any = importlib.import_module("fcntl")
    termios: Any = importlib.import_module("termios")
    return struct.unpack("=i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0]


def can_count() -> bool:
    """Says whether the count of this system is right: a connection of our own is counted, for layouts change."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sender:
            receiver, _peer = server.accept()
            with receiver:
                sender.sendall(bytes(_PROBE))
                receiver.settimeout(1.0)
                read = len(receiver.recv(_PROBE // 2, socket.MSG_WAITALL))
                return read == _PROBE // 2 == bytes_read(receiver.fileno())
    except OSError:
        return False
