# SPDX-License-Identifier: Apache-2.0
"""What the disk's state and its errors are called to a client: what they are, not what they might be."""

from __future__ import annotations

import errno
import os
import sqlite3
from dataclasses import dataclass

from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from server.broker import refusals
from server.broker.descriptors import ran_out_of_files

__all__ = ["DiskRoom", "disk_error", "low_disk"]

_MIB, _GIB = 1 << 20, 1 << 30
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_CANTOPEN: errno.ENOENT,
}


@dataclass(frozen=True)
class DiskRoom:
    """Bytes: that are free; floor: below which nothing new is taken on; for_checkpoints: of the jobs that run."""

    free: int = 0
    floor: int = 0
    for_checkpoints: int = 0

    @property
    def needed(self) -> int:
        """The bytes that have to be free for anything new."""
        return max(self.floor, self.for_checkpoints)

    @property
    def is_low(self) -> bool:
        """Whether fewer bytes are free than that."""
        return self.free < self.needed

    def sentence(self) -> str:
        """Says how much room there is, and how much there should be."""
        why = "the checkpoints of running jobs may take that" if self.for_checkpoints > self.floor else "its disk floor"
        return (
            f"The server's disk has {_gib(self.free)} free, and the server takes on nothing new below "
            f"{_gib(self.needed)} ({why})."
        )


def low_disk(room: DiskRoom) -> WireError:
    """Returns the error for who wants something of a server whose disk is too full for more."""
    hint = "Make room on the disk of the server's data folder"
    if room.for_checkpoints <= room.floor:
        hint += ", or start the server with a lower floor: pgc-server start --disk-floor GIB"
    return WireError(ErrorCode.RES_DISK, Retry.LATER, room.sentence(), hint=f"{hint}.")


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / _MIB:.0f} MiB"


def disk_error(error: BaseException) -> WireError | None:
    """Returns the error to send for one that came of reading or writing; None where it is an error of another kind."""
    if ran_out_of_files(error):
        return refusals.busy("The server has as many files and connections open as it may; send this again soon.")
    number = _number(error)
    if number is None and not isinstance(error, sqlite3.OperationalError):
        return None
    if number in _FULL:
        return refusals.disk_full()
    if number in _FORBIDDEN:
        text = f"The server may not write to its data folder ({os.strerror(number)})."
        hint = "See to the rights of the server's data folder, and to how its disk is mounted."
    elif number == errno.ENOENT:
        text = "The server's data folder, or a part of it, is gone."
        hint = "Start the server again; what was there must be uploaded and sent again."
    else:
        what = str(error) if number is None else os.strerror(number)
        text = f"The server's disk gave an error ({what})."
        hint = "See to the disk of the server's data folder."
    return WireError(ErrorCode.RES_DISK, Retry.LATER, text, hint=hint)


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        # The lowest eight bits are the kind; the others say more of it.
        return _SQLITE.get(code & 0xFF) if isinstance(code, int) else None
    return None
