# SPDX-License-Identifier: Apache-2.0
"""Store of files named by the SHA-256 of their bytes.

    store = BlobStore(paths.blobs)
    sha256 = store.put(data)
    data = store.read(sha256)

A blob appears under its name only when all its bytes are on the disk (write aside, fsync, rename, fsync of
the directory), so that several processes may use one store, and a crash leaves nothing half-written behind.
The store knows nothing of users: who may read a blob is the broker's business.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import BinaryIO

from server.errors import BlobError
from server.platform import fsync_directory, make_private_directory, replace

_NAME = re.compile(r"[0-9a-f]{64}")
_PIECE = 1 << 20
_VERIFIED_KEPT = 4096
_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})
_TEMPORARY = "tmp"
_PARTIAL = "partial"


def is_sha256(name: str) -> bool:
    """Says whether this is a hash in lower-case hexadecimal, and so safe as a file name."""
    return _NAME.fullmatch(name) is not None


class BlobStore:
    """Files under `root/ab/abcdef…`; what is being written is in `root/tmp` and `root/partial`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._verified: dict[str, tuple[int, int, int]] = {}
        for name in (_TEMPORARY, _PARTIAL):
            make_private_directory(root / name)
        make_private_directory(root)

    def path(self, sha256: str) -> Path:
        """Says where the blob is, or would be.

        Raises:
            BlobError: the name is no hash.
        """
        if not is_sha256(sha256):
            raise BlobError(f"{sha256[:80]!r} is no SHA-256; expected 64 characters of 0-9a-f.")
        return self._root / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Says whether the blob is there."""
        return self.path(sha256).is_file()

    def size(self, sha256: str) -> int:
        """Returns the bytes of the blob. Raises BlobError without it."""
        with _there(sha256):
            status = self.path(sha256).stat()
        if not stat.S_ISREG(status.st_mode):
            raise _missing(sha256)
        return status.st_size

    def put(self, data: bytes | bytearray | memoryview) -> str:
        """Stores bytes and returns their hash. Storing what is there already costs no writing."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not (self.holds(sha256, memoryview(data).nbytes) and self.verify(sha256) and self._touch(sha256)):
            with self._temporary() as (file, path):
                file.write(data)
                flush(file)
                self._publish(path, sha256)
        return sha256

    def read(self, sha256: str) -> bytes:
        """Returns the whole blob. Raises BlobError without it."""
        with _there(sha256):
            return self.path(sha256).read_bytes()

    def read_range(self, sha256: str, offset: int, length: int) -> bytes:
        """Reads the bytes [offset, offset + length), fewer at the end. Raises BlobError without the blob."""
        with _there(sha256), self.path(sha256).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def holds(self, sha256: str, size: int) -> bool:
        """Says whether a blob of this size is there, as far as a look at the folder tells."""
        try:
            return self.size(sha256) == size
        except BlobError:
            return False

    def verify(self, sha256: str) -> bool:
        """Says whether the bytes on the disk still have this hash. Raises BlobError without the blob.

        A file that was found right, and has the same inode, time and size since, is not read again.
        """
        with self._open(sha256) as file:
            seen = _state_of(os.fstat(file.fileno()))
            if self._verified.get(sha256) == seen:
                return True
            right = hash_of(file).hexdigest() == sha256
        if right:
            while len(self._verified) >= _VERIFIED_KEPT:
                self._verified.pop(next(iter(self._verified)))
            self._verified[sha256] = seen
        return right

    def remove(self, sha256: str) -> None:
        """Deletes the blob, if it is there."""
        self.path(sha256).unlink(missing_ok=True)

    def age(self, sha256: str, age: Callable[[float], float]) -> float:
        """Returns the seconds since somebody stored the blob (again), by a clock's `age` of a time stamp.

        Raises:
            BlobError: it is not there.
        """
        with _there(sha256):
            return age(self.path(sha256).stat().st_mtime)

    def remove_old(self, sha256: str, older_than: float, age: Callable[[float], float]) -> bool:
        """Deletes the blob unless somebody stored it (again) in the last `older_than` seconds; returns whether
        it went.
        """
        path = self.path(sha256)
        with contextlib.suppress(FileNotFoundError):
            if age(path.stat().st_mtime) > older_than:
                path.unlink()
                return True
        return False

    def names(self) -> Iterator[str]:
        """Yields the hashes of all blobs in the store."""
        for folder in self._root.iterdir():
            if len(folder.name) == 2 and folder.is_dir():
                yield from (file.name for file in folder.iterdir() if is_sha256(file.name) and file.is_file())

    def partial_path(self, sha256: str, owner: str) -> Path:
        """Says where one user's upload of a blob grows; `owner` is a short hexadecimal tag of the user."""
        self.path(sha256)
        return self._root / _PARTIAL / f"{sha256}.{owner}"

    def publish_partial(self, partial: Path, sha256: str) -> None:
        """Turns a finished, checked and flushed upload into a blob."""
        self._publish(partial, sha256)

    def partials(self) -> Iterator[Path]:
        """Yields the files of uploads that are not complete, each named `HASH.OWNER`."""
        paths = (self._root / _PARTIAL).iterdir()
        return (path for path in paths if is_sha256(path.name.partition(".")[0]) and path.is_file())

    def make_way(self, path: Path) -> None:
        """Puts a folder, or a link, that has a file's name out of its way, under another name."""
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.rename(path.with_name(f"{uuid.uuid4().hex}.no-file"))

    def sweep(self, older_than: float, partials_older_than: float, age: Callable[[float], float]) -> int:
        """Deletes half-written files that nobody touched for so many seconds; returns how many."""
        removed = 0
        for name, limit in ((_TEMPORARY, older_than), (_PARTIAL, partials_older_than)):
            for path in (self._root / name).iterdir():
                with contextlib.suppress(FileNotFoundError):  # Its writer was faster.
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode) and age(status.st_mtime) > limit:
                        path.unlink()
                        removed += 1
        return removed

    def _open(self, sha256: str) -> BinaryIO:
        with _there(sha256):
            return self.path(sha256).open("rb")

    @contextlib.contextmanager
    def _temporary(self) -> Generator[tuple[BinaryIO, Path]]:
        path = self._root / _TEMPORARY / f"{uuid.uuid4().hex}.tmp"
        try:
            with path.open("xb") as file:
                yield file, path
        finally:
            path.unlink(missing_ok=True)

    def _touch(self, sha256: str) -> bool:
        """Make a blob that is there look new, so that no cleaning takes it now; returns whether it is there."""
        path = self.path(sha256)
        with contextlib.suppress(FileNotFoundError):
            before = path.stat()
            os.utime(path)
            if self._verified.get(sha256) == _state_of(before):
                self._verified[sha256] = _state_of(path.stat())
            return True
        return False

    def _publish(self, source: Path, sha256: str) -> None:
        target = self.path(sha256)
        if not target.parent.is_dir():
            make_private_directory(target.parent)
            fsync_directory(self._root)
        # The one that is there may be damaged, and these bytes are known to be right. A link may lead to these bytes.
        if target.is_file() and not target.is_symlink() and self.verify(sha256) and self._touch(sha256):
            source.unlink()
            return
        self.make_way(target)
        replace(source, target)
        fsync_directory(target.parent)


@contextlib.contextmanager
def _there(sha256: str) -> Generator[None]:
    """Turns what is said of a file that is none into the error of a blob that is not there."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        raise _missing(sha256) from error


def _state_of(status: os.stat_result) -> tuple[int, int, int]:
    """What changes when a file is written or replaced."""
    return status.st_ino, status.st_mtime_ns, status.st_size


def hash_of(file: BinaryIO) -> hashlib._Hash:  # pyright: ignore[reportPrivateUsage]
    """Returns the digest of a file from where it stands to its end."""
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest


def flush(file: BinaryIO) -> None:
    """Writes a file to the disk itself."""
    file.flush()
    os.fsync(file.fileno())


def _missing(sha256: str) -> BlobError:
    return BlobError(f"Blob {sha256[:12]}… is not in the store; upload it.")
