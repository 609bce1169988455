# SPDX-License-Identifier: Apache-2.0
"""Files from the server: in pieces, within a window of our own, checked against their hashes. Pure."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ...protocol.errors import ErrorCode, Retry, WireError
from ...protocol.messages import Chunk, Error, Get
from ..answers import unexpected
from ..requests import Answer, Channel, Port
from .landing import Landing
from .windows import Window

__all__ = ["Download", "Downloads"]

CHUNK = 768 << 10
"""The most that one GET may ask for."""
LARGEST = 4 << 30
_TRIES = 2
_MOST_REQUESTS = 32
"""At a time; the server takes 64."""


@dataclass(eq=False)
class Download:
    """One file that is to be downloaded.

    Args:
        total: its size; None where only the server knows it.
        on_done: gets its bytes; on_error: why there are none; on_bytes: how many came in.
    """

    sha256: str
    total: int | None
    on_done: Callable[[bytes], None]
    on_error: Callable[[WireError], None]
    on_bytes: Callable[[int], None] = lambda count: None
    file: Landing | None = None
    """From the first piece on, which brings the size where it was not known."""
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)  # pyright: ignore[reportPrivateUsage]
    hashed: int = 0
    """Bytes from the start, without a gap, that `digest` has seen."""
    early: dict[int, int] = field(default_factory=dict[int, int])
    """Ends of pieces, by offset, that came before their predecessors."""
    next_offset: int = 0
    received: int = 0
    requests: dict[str, int] = field(default_factory=dict[str, int])
    """What is under way: bytes by request."""
    tries: int = 0
    started: bool = False


class Downloads:
    """All files that are wanted, one after another; pieces of the next are asked for as the window has room."""

    def __init__(self, port: Port, window: Window | None = None) -> None:
        self._port = port
        self._window = window or Window()
        self._queue: deque[Download] = deque()

    def add(self, download: Download) -> None:
        """Asks for a file."""
        if download.total is not None and not 0 <= download.total <= LARGEST:
            download.on_error(_too_large(download.total))
            return
        self._queue.append(download)
        self._pump()

    def closed(self) -> None:
        """Takes note that the connection is gone. What is under way stays asked for: the port asks again."""
        self._window.paused()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def _under_way(self) -> int:
        return sum(sum(download.requests.values()) for download in self._queue)

    @property
    def _open_requests(self) -> int:
        return sum(len(download.requests) for download in self._queue)

    def _pump(self) -> None:
        for download in list(self._queue):
            while self._wants_more(download):
                size = CHUNK if download.total is None else min(CHUNK, download.total - download.next_offset)
                full = self._under_way + size > self._window.size or self._open_requests >= _MOST_REQUESTS
                if self._under_way and full:
                    return
                self._get(download, size)

    @staticmethod
    def _wants_more(download: Download) -> bool:
        if not download.started:
            return True
        # Without a size, the first piece brings it.
        return download.total is not None and download.next_offset < download.total

    def _get(self, download: Download, size: int) -> None:
        offset = download.next_offset
        download.started = True
        download.next_offset += size
        # A file of no bytes is asked for too: the server says whether it has it.
        message = Get(sha256=download.sha256, offset=offset, length=max(1, size))
        request, asked = "", self._port.now

        def on_answer(answer: Answer) -> None:
            download.requests.pop(request, None)
            if self._on_chunk(download, offset, size, answer):
                self._window.received(size, answer.now, answer.now - asked)
            if not self._queue:
                self._window.paused()
            self._pump()

        request = self._port.ask(Channel.BULK, message, on_answer)
        download.requests[request] = max(1, size)

    def _on_chunk(self, download: Download, offset: int, size: int, answer: Answer) -> bool:
        """Whether a piece came that fits."""
        message = answer.message
        if not isinstance(message, Chunk):
            error = message.error if isinstance(message, Error) else unexpected(message)
            self._failed(download, error)
            return False
        piece = answer.buffers[0] if len(answer.buffers) == 1 else b""
        total = message.total if download.total is None else download.total
        expected = min(size, total - offset)
        if message.total != total or message.offset != offset or len(piece) != expected or not 0 <= total <= LARGEST:
            self._again(download)
            return False
        if download.total is None:
            download.total = total
            download.next_offset = min(download.next_offset, total)
        try:
            landing = download.file = download.file or Landing(total)
        except MemoryError:
            self._failed(download, _no_room(total))
            return False
        landing.write(offset, piece)
        self._hash(download, landing, offset, len(piece))
        download.on_bytes(len(piece))
        if download.received >= total:
            self._complete(download, landing)
        return True

    @staticmethod
    def _hash(download: Download, landing: Landing, offset: int, size: int) -> None:
        download.received += size
        download.early[offset] = offset + size
        while (end := download.early.pop(download.hashed, None)) is not None and end > download.hashed:
            download.digest.update(landing.part(download.hashed, end))
            download.hashed = end

    def _complete(self, download: Download, landing: Landing) -> None:
        if download.digest.hexdigest() != download.sha256:
            self._again(download)
            return
        self._drop(download)
        download.on_done(landing.take())

    def _again(self, download: Download) -> None:
        """Pieces that do not fit each other or the hash: from the start, once."""
        download.tries += 1
        if download.tries >= _TRIES:
            self._failed(download, _damaged(download.sha256))
            return
        self._forget(download)
        download.on_bytes(-download.received)
        download.file, download.digest = None, hashlib.sha256()
        download.early.clear()
        download.next_offset = download.received = download.hashed = 0
        download.started = False

    def _failed(self, download: Download, error: WireError) -> None:
        self._drop(download)
        download.on_error(error)

    def _drop(self, download: Download) -> None:
        self._forget(download)
        if download in self._queue:
            self._queue.remove(download)

    def _forget(self, download: Download) -> None:
        for request in download.requests:
            self._port.forget(request)
        download.requests.clear()


def _too_large(size: int) -> WireError:
    return WireError(
        code=ErrorCode.PROTO_TOO_LARGE,
        retry=Retry.NEVER,
        text=f"The server offers a file of {size} bytes; expected at most {LARGEST}.",
    )


def _no_room(size: int) -> WireError:
    return WireError(
        code=ErrorCode.INTERNAL,
        retry=Retry.SAME,
        text=f"There is no memory for a file of {size} bytes here.",
        hint="Close other programs, or choose a smaller texture size.",
    )


def _damaged(sha256: str) -> WireError:
    return WireError(
        code=ErrorCode.INPUT_HASH,
        retry=Retry.SAME,
        text=f"The file {sha256[:12]}… arrived damaged {_TRIES} times: its bytes do not have the promised hash.",
        hint="Try again; if it stays so, run: pgc-server doctor",
    )
