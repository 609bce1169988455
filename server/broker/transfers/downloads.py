# SPDX-License-Identifier: Apache-2.0
"""Blobs to clients: each GET is one piece. A client bounds what is on the way by how many GETs it has open."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from blender_addon.protocol.limits import DEFAULT_LIMITS
from blender_addon.protocol.messages import Chunk, Get
from server.broker import refusals
from server.broker.state import BrokerState, Request
from server.errors import BlobError
from server.storage.blob_care import require_whole
from server.storage.blobs import BlobStore

MAX_WAITING = 64
READS_TOGETHER = 8
READS_PER_SESSION = 2
BACKLOG_LIMIT = 1 << 20


@dataclass
class _Line:
    """The open GETs of one session."""

    waiting: deque[tuple[Request, Get]] = field(default_factory=lambda: deque[tuple[Request, Get]]())
    reading: int = 0


class Downloads:
    """Reads in turn for all sessions, and for none faster than its connection takes it."""

    def __init__(self, state: BrokerState, store: BlobStore) -> None:
        self._state = state
        self._store = store
        self._lines: dict[str, _Line] = {}
        self._reading = 0

    def get(self, request: Request, message: Get) -> None:
        """Takes one GET; its CHUNK follows."""
        size = self._state.grants.get(request.user, {}).get(message.sha256)
        if size is None:
            self._state.refuse(request.address, refusals.blob_unknown(), request.id)
        elif not 0 <= message.offset <= size:
            text = f"Got {message.offset}; the blob has {size} bytes."
            self._state.refuse(request.address, refusals.invalid("offset", text), request.id)
        elif not 0 <= message.length <= DEFAULT_LIMITS.get:
            text = f"Got {message.length}; expected 0 to {DEFAULT_LIMITS.get}."
            self._state.refuse(request.address, refusals.invalid("length", text), request.id)
        else:
            line = self._lines.setdefault(request.session.sid, _Line())
            if len(line.waiting) >= MAX_WAITING:
                self._state.refuse(request.address, refusals.busy(f"{MAX_WAITING} GETs are open."), request.id)
                return
            line.waiting.append((request, message))
            self.pump()

    def pump(self) -> None:
        """Starts what may start, one read for each session in turn."""
        started = True
        while started and self._reading < READS_TOGETHER:
            started = False
            for line in list(self._lines.values()):
                if self._reading < READS_TOGETHER and self._may_start(line):
                    self._start(line)
                    started = True

    def _may_start(self, line: _Line) -> bool:
        if not line.waiting or line.reading >= READS_PER_SESSION:
            return False
        return self._state.ports.backlog(line.waiting[0][0].address) < BACKLOG_LIMIT

    def _start(self, line: _Line) -> None:
        request, message = line.waiting.popleft()
        line.reading += 1
        self._reading += 1

        def done(data: bytes | None, error: Exception | None) -> None:
            line.reading -= 1
            self._reading -= 1
            self._answer(request, message, data, error)

        paths = self._state.config.paths

        def read() -> bytes:
            # The whole file is hashed once, and again only when it has changed.
            require_whole(paths, self._store, message.sha256)
            return self._store.read_range(message.sha256, message.offset, message.length)

        self._state.ports.disk(read, done, bulk=True)

    def _answer(self, request: Request, message: Get, data: bytes | None, error: Exception | None) -> None:
        if data is None:
            known = isinstance(error, BlobError)
            answer = refusals.blob_lost(message.sha256) if known else self._state.fault("download", error or OSError())
            self._state.refuse(request.address, answer, request.id)
            return
        total = self._state.grants.get(request.user, {}).get(message.sha256, 0)
        self._state.metrics.count("bytes_sent", len(data))
        self._state.send(request.address, Chunk(message.sha256, message.offset, total), request.id, (data,))

    def left(self, sid: str) -> None:
        """Drops the open GETs of a session, since its bulk connection is gone."""
        line = self._lines.pop(sid, None)
        if line is not None:
            line.waiting.clear()
