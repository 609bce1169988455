# SPDX-License-Identifier: Apache-2.0
"""One user's upload of one blob: its file, and the pieces of it that wait for the disk."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from server.broker.ports import Buffer
from server.broker.state import Request
from server.errors import BlobError
from server.platform import write_out
from server.storage.blobs import BlobStore, flush, hash_of

__all__ = ["ActiveUpload", "Piece", "Upload", "Written", "owner_tag", "writing"]

_WRITE_AHEAD = 4 << 20
"""Bytes of an upload after which the disk is set to work, or all of it would wait for the end."""
_REMEMBERED = 16 << 20
"""So much of the end of an upload stays in the system's memory; what is on the disk before that makes room for what
comes. Fresh memory can cost more than the disk: where a host takes back what its virtual machine does not use, each
page that is touched for the first time was measured at 10 µs, five times what writing it out took.
"""


@dataclass
class Upload:
    """One user's upload of one blob: bytes arrive in order, and can go on after a crash.

    Not thread-safe: the broker hands an upload's pieces to its disk threads one after the other.
    """

    store: BlobStore
    sha256: str
    size: int
    owner: str
    received: int = 0
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)  # pyright: ignore[reportPrivateUsage]
    _file: BinaryIO | None = None
    _begun: int = 0
    """Up to here the system was asked to write it out."""

    def resume(self) -> int:
        """Takes up what is on the disk from before; returns the bytes that are there."""
        path = self.store.partial_path(self.sha256, self.owner)
        self.store.make_way(path)
        if path.is_file():
            with path.open("rb") as file:
                self._digest = hash_of(file)
                self.received = self._begun = file.tell()
        if self.received > self.size:
            self.discard()
        return self.received

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Appends a piece; returns all bytes received so far.

        Raises:
            BlobError: more bytes than were announced.
        """
        if self.received + len(data) > self.size:
            raise BlobError(f"{self.received + len(data)} bytes for a blob that was announced with {self.size}.")
        self._opened().write(data)
        self._digest.update(data)
        self.received += len(data)
        if self.received - self._begun >= _WRITE_AHEAD:
            start = max(0, self.received - _REMEMBERED)
            write_out(self._opened(), start, self.received - start)
            self._begun = self.received
        return self.received

    def finish(self) -> None:
        """Checks the hash and puts the blob in its place.

        Raises:
            BlobError: the bytes have another hash. They are discarded.
        """
        file = self._opened()
        got = self._digest.hexdigest()
        if self.received != self.size or got != self.sha256:
            self.discard()
            raise BlobError(f"The bytes of blob {self.sha256[:12]}… have the hash {got[:12]}…; send it again.")
        flush(file)
        is_there = self._is_there(file)
        self.close()
        if not is_there:
            self.discard()
            raise BlobError(f"The bytes of blob {self.sha256[:12]}… are gone from the disk; send it again.")
        self.store.publish_partial(self.store.partial_path(self.sha256, self.owner), self.sha256)

    def _opened(self) -> BinaryIO:
        if self._file is None:
            path = self.store.partial_path(self.sha256, self.owner)
            self.store.make_way(path)  # Through a link the bytes would end in another file.
            self._file = path.open("ab")
        return self._file

    def _is_there(self, file: BinaryIO) -> bool:
        """Says whether what has the upload's name is the file that was written, with all its bytes."""
        try:
            named = os.lstat(self.store.partial_path(self.sha256, self.owner))
        except FileNotFoundError:
            return False
        written = os.fstat(file.fileno())
        return os.path.samestat(named, written) and written.st_size == self.size

    def discard(self) -> None:
        """Forgets all bytes."""
        self.close()
        path = self.store.partial_path(self.sha256, self.owner)
        self.store.make_way(path)
        path.unlink(missing_ok=True)
        self.received = self._begun = 0
        self._digest = hashlib.sha256()

    def close(self) -> None:
        """Closes the file; what was written stays for `resume`."""
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass
class Piece:
    """A piece of an upload, and the request that brought it."""

    request: Request
    offset: int
    data: Buffer


@dataclass
class ActiveUpload:
    """An upload and the pieces that wait for the disk. Only `upload` is touched by a disk thread, one at a time."""

    upload: Upload
    user: str
    last_used: float
    pieces: deque[Piece] = field(default_factory=lambda: deque[Piece]())
    queued: int = 0
    busy: bool = False
    resumed: bool = False
    unwanted: bool = False
    """Its user may not use the server any more: what came is thrown away."""
    resting: bool = False
    """Its file is closed, to make place for another upload, until the next piece comes."""

    @property
    def is_still(self) -> bool:
        """Whether it waits for nothing but its client's next piece."""
        return not self.busy and not self.pieces

    @property
    def key(self) -> tuple[str, str]:
        """The user and the hash of the blob."""
        return self.user, self.upload.sha256


@dataclass(frozen=True)
class Written:
    """What the disk thread made of some pieces: bytes received after each."""

    received: tuple[int, ...]
    complete: bool


def owner_tag(user: str) -> str:
    """Returns a user's key as part of a file name."""
    return hashlib.sha256(user.encode()).hexdigest()[:16]


def writing(active: ActiveUpload, pieces: list[Piece]) -> Callable[[], Written]:
    """Returns the work for a disk thread: it appends the pieces that continue the file; a piece that does not is passed
    over.
    """
    upload, resume = active.upload, not active.resumed

    def work() -> Written:
        if resume:
            upload.resume()
        received: list[int] = []
        for piece in pieces:
            if piece.offset == upload.received:
                upload.write(piece.data)
            received.append(upload.received)
        if upload.received == upload.size:
            upload.finish()
            return Written(tuple(received), True)
        return Written(tuple(received), False)

    return work
