# SPDX-License-Identifier: Apache-2.0
"""Files that are written whole or not at all: the one way to write in pgc.

Everything goes to a temporary file beside its place, onto the disk, and only then to its name. What a killed process
leaves behind has a name that nobody takes for a result, and the next run in that folder removes it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from jaxtyping import Shaped
from PIL import Image

from pgc.errors import OutputError

__all__ = [
    "cannot_write",
    "remove_leftovers",
    "replacing",
    "write_array",
    "write_bytes",
    "write_json",
    "write_picture",
    "write_tensors",
    "write_text",
]

_TEMPORARY = re.compile(r"\.pgc-(\d+)-[0-9a-f]{12}(\..*)?")
_OLD_SECONDS = 3600.0
"""A process's number may be another's by now: what is older is nobody's."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_ATTEMPTS, _PAUSE = 10, 0.05
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` (same suffix) that takes its place at the end; nothing changes on an error.

    The body writes the file as it likes, by a library too. At the end it is on the disk before it gets its name.

    Raises:
        OutputError: the folder cannot be written to, the disk is full, or Windows reserves the name.
    """
    if _is_windows() and _RESERVED.fullmatch(path.name):
        raise OutputError(f"{path} cannot be written: Windows keeps this name for devices; choose another.")
    temporary = path.with_name(f".pgc-{os.getpid()}-{secrets.token_hex(6)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made here, so that a folder that refuses files is found before any work.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield temporary
        _onto_the_disk(temporary)
        _rename(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _is_windows() -> bool:
    return os.name == "nt"


def _onto_the_disk(path: Path) -> None:
    """Else a crash of the machine could leave a name with nothing behind it."""
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(source: Path, target: Path) -> None:
    """Windows refuses while another process, such as a virus scanner, has the target open: tried again for 0.5 s."""
    for attempt in range(_ATTEMPTS):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if not _is_windows() or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_PAUSE)


def cannot_write(path: Path, error: OSError | str) -> OutputError:
    """Makes the error about a file that cannot be written: which one, why, and how much room there is."""
    reason = error if isinstance(error, str) else error.strerror or str(error)
    advice = "choose another folder"
    free = _free_bytes(path.parent)
    if free is not None and (isinstance(error, str) or error.errno in _NO_ROOM):
        reason += f"; {free / 1e6:.1f} MB are free there"
        advice = "free some space or choose another folder"
    return OutputError(f"{path} cannot be written ({reason}); {advice}.")


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def remove_leftovers(folder: Path) -> int:
    """Removes temporary files that killed processes left in a folder; returns how many.

    Those of processes that run stay, unless they are old: the number may be another process's by now.
    """
    removed = 0
    with suppress(OSError):
        for path in folder.iterdir():
            found = _TEMPORARY.fullmatch(path.name)
            if found is not None and _is_nobodys(path, int(found[1])):
                path.unlink(missing_ok=True)
                removed += 1
    return removed


def _is_nobodys(path: Path, pid: int) -> bool:
    if pid == os.getpid():
        return False
    return not psutil.pid_exists(pid) or time.time() - path.stat().st_mtime > _OLD_SECONDS


def write_bytes(path: Path, data: bytes) -> None:
    """Raises OutputError where that fails."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    r"""Writes a text in UTF-8, lines ended by \n. Raises OutputError where that fails."""
    # Names of files may hold bytes that are no text: they come out as escapes.
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes indented UTF-8 JSON. Raises OutputError where that fails."""
    # Of a lone surrogate, "backslashreplace" makes what JSON itself would write.
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_array(path: Path, array: Shaped[np.ndarray, "..."]) -> None:
    """Writes an .npy file. Raises OutputError where that fails."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)


def write_picture(path: Path, image: Image.Image, **options: Any) -> None:  # noqa: ANN401 - Pillow's own
    """Writes a picture in the format of its suffix, with Pillow's options for it. Raises OutputError where that
    fails."""
    with replacing(path) as temporary:
        image.save(temporary, **options)


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file of contiguous torch tensors. Raises OutputError where that fails."""
    # Torch takes seconds to import, and most that is written needs none.
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        try:
            save_file(dict(tensors), temporary, metadata=dict(metadata))
        except SafetensorError as error:
            raise cannot_write(path, str(error)) from error
