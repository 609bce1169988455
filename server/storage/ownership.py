# SPDX-License-Identifier: Apache-2.0
"""Whose a data folder is: a marker file in it says so, and without one nothing in it is touched.

A server narrows its folder to its owner, sweeps `jobs/` and `blobs/tmp`, and moves away what it does not know. In
somebody's photo folder, named by a slip of the hand, each of these would do harm.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import uuid
from collections.abc import Generator
from pathlib import Path

from server.config import ServerPaths
from server.errors import ConfigError
from server.json_files import read_json_map
from server.platform import make_private_directory, write_private
from server.storage.room import check_room, data_folder_problem

__all__ = ["FORMAT", "claim_data_folder", "looks_like_ours"]

_LOG = logging.getLogger(__name__)
FORMAT = 1
"""Of the data folder as a whole; a newer server's is not touched."""
_WHAT = "data folder of pgc-server"
_SQLITE = b"SQLite format 3\0"
_SHOWN = 3
_OWN_NAMES = frozenset({"server.lock", "connection.json", "keys", "blobs", "jobs", "logs", "models", "models.json"})
"""What a server of before the marker leaves in its folder, beside the journal and its companions."""


def claim_data_folder(paths: ServerPaths) -> None:
    """Makes the data folder, or sees that the one that is there is ours; afterwards it is its owner's alone (0700).

    A missing or empty folder gets the marker. So does one that an older server used.

    Raises:
        ConfigError: the folder is somebody else's, of a newer server, no folder at all, or cannot be used.
    """
    root = paths.root
    with _said_in_a_sentence(root):
        problem = data_folder_problem(root)
        if problem is not None:
            raise ConfigError(f"{problem} Give another --data.")
        if paths.marker.exists():
            _check_marker(paths)
        elif root.is_dir() and any(root.iterdir()) and not looks_like_ours(paths):
            raise ConfigError(_foreign(root))
        make_private_directory(root)
        check_room(root)
        if not paths.marker.exists():
            _write_marker(paths)


def looks_like_ours(paths: ServerPaths) -> bool:
    """Says whether a server of before the marker used this folder, or paired a machine there: its lock or its key lies
    there, with its journal or with nothing that it did not make.
    """
    lock, key = paths.lock, paths.keys / "server.json"
    if not (lock.is_file() and lock.stat().st_size == 0) and not (key.is_file() and b"secret" in key.read_bytes()):
        return False
    if _begins_with(paths.journal, _SQLITE) and paths.keys.is_dir():
        return True
    names = {path.name for path in paths.root.iterdir()}
    return all(name in _OWN_NAMES or name.startswith(paths.journal.name) for name in names)


def _check_marker(paths: ServerPaths) -> None:
    try:
        number = int(read_json_map(paths.marker)["format"])
    except (ConfigError, ValueError, TypeError, KeyError, OverflowError):
        # Only its numbers are lost: nobody else has a file of this name.
        _LOG.warning("the marker %s was damaged and is written anew", paths.marker.name)
        _write_marker(paths)
        return
    if number > FORMAT:
        raise ConfigError(
            f"{paths.root} was made by a newer pgc-server (format {number}, this one knows {FORMAT}); update this one, "
            "or give another --data."
        )


def _write_marker(paths: ServerPaths) -> None:
    content = {"what": _WHAT, "format": FORMAT, "id": uuid.uuid4().hex}
    write_private(paths.marker, json.dumps(content, indent=1).encode())


def _foreign(root: Path) -> str:
    names = sorted(path.name for path in root.iterdir())
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return (
        f"{root} holds other things ({shown}), and nothing says that it is a data folder of pgc-server, so it was not "
        "touched; give a new or empty folder with --data."
    )


def _begins_with(path: Path, magic: bytes) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


@contextlib.contextmanager
def _said_in_a_sentence(root: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        place = "" if error.filename is None or os.fspath(error.filename) == str(root) else f" at {error.filename}"
        raise ConfigError(
            f"The data folder {root} cannot be used ({why}{place}); make room or see to its rights, or give another "
            "--data."
        ) from error
