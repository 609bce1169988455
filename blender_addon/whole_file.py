# SPDX-License-Identifier: Apache-2.0
"""Files of the add-on and its client that are written whole or not at all. Nothing but the standard library."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing", "write_whole"]

_ATTEMPTS, _PAUSE = 10, 0.05


@contextmanager
def replacing(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """Yields a temporary path beside `path` that takes its place at the end, on the disk by then; nothing is left on an
    error.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".pgc-{os.getpid()}-{secrets.token_hex(6)}{path.suffix}")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _rename(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Puts bytes into a file, readable from the first moment on by those only whom `mode` (less the umask) lets in.

    Raises:
        OSError: it cannot be written; what was there before still is.
    """
    with replacing(path, mode) as temporary:
        temporary.write_bytes(data)


def _rename(source: Path, target: Path) -> None:
    """Windows refuses while another process, such as a virus scanner, has the target open: tried again for 0.5 s."""
    for attempt in range(_ATTEMPTS):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if os.name != "nt" or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_PAUSE)
