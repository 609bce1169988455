# SPDX-License-Identifier: Apache-2.0
"""Whether a folder can be the server's data directory, asked before anything is written to it."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from server.errors import ConfigError

__all__ = ["check_room", "data_folder_problem"]

_MIB = 1 << 20
_LEAST_FREE = 32 * _MIB
"""For journal, keys and logs: with less, a server could not even say why it ends."""


def data_folder_problem(root: Path) -> str | None:
    """Says why `root` cannot be a data directory, in a sentence; None where nothing speaks against it.

    Raises:
        OSError: the way to it may not be walked.
    """
    there = next((one for one in (root, *root.parents) if os.path.lexists(one)), root)
    try:
        found = there.stat()
    except FileNotFoundError:
        return f"{there} is a link to something that is not there; a data directory must be a folder."
    if not stat.S_ISDIR(found.st_mode):
        return f"{there} is a file; the server needs a folder."
    if there != root:
        return None
    if found.st_mode & stat.S_ISVTX or root == root.parent:
        # Such as /tmp. It would be closed to all others.
        return f"{root} is there for all; a data directory must be yours alone, such as a new folder in it."
    return None


def check_room(root: Path) -> None:
    """Raises ConfigError where there is too little room at `root` to begin."""
    free = shutil.disk_usage(root).free
    if free < _LEAST_FREE:
        raise ConfigError(
            f"Only {free / _MIB:.0f} MiB are free at {root}, and the server needs {_LEAST_FREE // _MIB} to start; free "
            "some space there, or give another --data."
        )
