# SPDX-License-Identifier: Apache-2.0
"""A small connection to the running server for the commands: one request, one answer, no threads.

with Admin.open(paths) as admin:
    report = admin.ask(Status(), StatusReport)
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeVar, cast

import zmq

from blender_addon.protocol.codec import Envelope, decode, encode, request_id
from blender_addon.protocol.errors import ProtocolError, WireError
from blender_addon.protocol.limits import DEFAULT_LIMITS
from blender_addon.protocol.messages import (
    Bye,
    Chunk,
    Error,
    Get,
    Hello,
    JobInfo,
    Jobs,
    ListJobs,
    Message,
    Reject,
    Welcome,
)
from blender_addon.protocol.version import PROTOCOL_MAJOR, PROTOCOL_MINOR
from server.config import ListenConfig, ServerPaths
from server.errors import ServerError
from server.storage.connection import Connection, read_connection

__all__ = ["Admin", "NotRunningError", "RefusedError"]

_T = TypeVar("_T")
_TIMEOUT = 5.0
_KEPT = 1000


class NotRunningError(ServerError):
    """No server answers a command that needs one."""


class RefusedError(ServerError):
    """The server answered with an error."""

    def __init__(self, error: WireError) -> None:
        field_text = f" ({error.field})" if error.field else ""
        hint = f" {error.hint}" if error.hint else ""
        super().__init__(f"{error.text}{field_text}{hint}")
        self.error = error


@dataclass
class Admin:
    """Connections to the control channel and, when first asked for, to the bulk channel.

    Args:
        connection: where the server is, and with which keys; timeout: seconds to wait for each answer.
    """

    connection: Connection
    timeout: float = _TIMEOUT
    welcome: Welcome | None = None
    _context: zmq.Context[zmq.Socket[bytes]] = field(default_factory=zmq.Context)
    _ctl: zmq.Socket[bytes] | None = None
    _bulk: zmq.Socket[bytes] | None = None
    _unasked: deque[Message] = field(default_factory=lambda: deque[Message](maxlen=_KEPT))

    @classmethod
    def open(cls, paths: ServerPaths, timeout: float = _TIMEOUT) -> Admin:
        """Connects to the server of this data directory and greets it.

        Raises:
            NotRunningError: there is none, or it does not answer.
            RefusedError: it does not want us.
        """
        connection = read_connection(paths.connection)
        if connection is None:
            raise NotRunningError("No server is running here; start it with: pgc-server start")
        admin = cls(connection, timeout)
        try:
            admin._greet()
        except BaseException:
            admin.close()
            raise
        return admin

    def __enter__(self) -> Admin:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Says good-bye, and lets go of the sockets."""
        if self._ctl is not None and self.welcome is not None:
            with contextlib.suppress(zmq.Again):  # The server reads no more; it will notice our end by itself.
                self._send(self._ctl, Bye())
        for socket in (self._ctl, self._bulk):
            if socket is not None:
                socket.close(linger=200)
        self._ctl = self._bulk = None
        self._context.term()

    def ask(self, message: Message, expected: type[_T], *, bulk: bool = False, buffers: Sequence[bytes] = ()) -> _T:
        """Sends a request and waits for its answer.

        Raises:
            NotRunningError: no answer in time.
            RefusedError: the answer is an error.
        """
        socket = self._bulk_socket() if bulk else self._ctl_socket()
        answer = self._exchange(socket, message, buffers).message
        if not isinstance(answer, expected):
            raise NotRunningError(
                f"The server answered {answer.TYPE} to {message.TYPE}; restart it: it may be of another version."
            )
        return answer

    def jobs(self) -> tuple[JobInfo, ...]:
        """Returns the jobs of all users; of this one only where the server that runs is an older one."""
        knows_all = self.welcome is not None and self.welcome.protocol >= (1, 1)
        return self.ask(ListJobs(all_users=knows_all), Jobs).jobs

    def fetch(self, wanted: Get) -> bytes:
        """Returns all bytes of a blob that begin at `wanted.offset`, `wanted.length` of them, in one piece or
        several.
        """
        data = bytearray()
        while len(data) < wanted.length:
            length = min(wanted.length - len(data), DEFAULT_LIMITS.get)
            envelope = self._exchange(self._bulk_socket(), Get(wanted.sha256, wanted.offset + len(data), length), ())
            if not isinstance(envelope.message, Chunk) or not envelope.buffers or not len(envelope.buffers[0]):
                raise NotRunningError("The server's answer to GET holds no bytes; restart it.")
            data += envelope.buffers[0]
        return bytes(data)

    def next_message(self, seconds: float) -> Message | None:
        """Returns what the server sends unasked, such as the events of a job that is followed; None after `seconds`."""
        if self._unasked:
            return self._unasked.popleft()
        socket = self._ctl_socket()
        if not socket.poll(round(seconds * 1000)):
            return None
        return _read(socket).message

    def _greet(self) -> None:
        self._ctl = self._connect(self.connection.ctl_port)
        self.welcome = self._hello(self._ctl, None)

    def _hello(self, socket: zmq.Socket[bytes], session: str | None) -> Welcome:
        hello = Hello(((PROTOCOL_MAJOR, PROTOCOL_MINOR),), client="pgc-server", session=session)
        answer = self._exchange(socket, hello, ()).message
        if isinstance(answer, Reject):
            raise RefusedError(answer.error)
        if not isinstance(answer, Welcome):
            raise NotRunningError(f"The server answered {answer.TYPE} to HELLO; restart it.")
        return answer

    def _exchange(self, socket: zmq.Socket[bytes], message: Message, buffers: Sequence[bytes]) -> Envelope:
        sent = self._send(socket, message, buffers)
        deadline = time.monotonic() + self.timeout
        while (left := deadline - time.monotonic()) > 0:
            if not socket.poll(round(left * 1000)):
                break
            envelope = _read(socket)
            if envelope.re == sent:
                if isinstance(envelope.message, Error):
                    raise RefusedError(envelope.message.error)
                return envelope
            if envelope.re is None:
                self._unasked.append(envelope.message)
        raise NotRunningError(
            f"The server (process {self.connection.pid}) did not answer within {self.timeout:.0f} s; look into "
            "`pgc-server logs`, or end it with: pgc-server stop --now"
        )

    def _send(self, socket: zmq.Socket[bytes], message: Message, buffers: Sequence[bytes] = ()) -> str:
        session = self.welcome.session if self.welcome is not None else None
        envelope = Envelope(message, request_id(), session=session, buffers=tuple(buffers))
        socket.send_multipart(encode(envelope), zmq.DONTWAIT)
        return envelope.id

    def _ctl_socket(self) -> zmq.Socket[bytes]:
        if self._ctl is None:
            raise NotRunningError("The connection to the server is closed.")
        return self._ctl

    def _bulk_socket(self) -> zmq.Socket[bytes]:
        if self._bulk is None and self.welcome is not None:
            self._bulk = self._connect(self.welcome.bulk_port)
            self._hello(self._bulk, self.welcome.session)
        return cast("zmq.Socket[bytes]", self._bulk)

    def _connect(self, port: int) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        socket.curve_serverkey = self.connection.server_public.encode("ascii")
        socket.curve_publickey = self.connection.client_public.encode("ascii")
        socket.curve_secretkey = self.connection.client_secret.encode("ascii")
        socket.ipv6 = ":" in self.connection.host
        socket.connect(ListenConfig(host=self.connection.host).endpoint(port))
        return socket


def _read(socket: zmq.Socket[bytes]) -> Envelope:
    try:
        return decode(socket.recv_multipart())
    except ProtocolError as error:
        raise NotRunningError(f"The server's answer cannot be read ({error}); restart it.") from error
