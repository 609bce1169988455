# SPDX-License-Identifier: Apache-2.0
"""Where things go that are damaged or that nobody knows: out of the way, and not away."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from server.config import ServerPaths
from server.platform import make_private_directory

__all__ = ["REASONS", "Quarantine", "empty_old", "quarantined"]

_LOG = logging.getLogger(__name__)
REASONS = "reasons.txt"
_STAMP = "%Y%m%dT%H%M%SZ"
_MIB = 1 << 20


class Quarantine:
    """Takes files and folders of the data folder into `quarantine/TIME/`, each under the path that it had, with a line
    in `reasons.txt`. Nothing is made before the first one comes."""

    def __init__(self, paths: ServerPaths, wall: Callable[[], float] = time.time) -> None:
        self._paths, self._wall = paths, wall
        self._folder: Path | None = None
        self.taken = 0

    def take(self, path: Path, why: str) -> None:
        """Moves one thing here. Raises OSError where it cannot be moved; it then stays where it is."""
        folder = self._made()
        target = folder / path.relative_to(self._paths.root)
        make_private_directory(target.parent)
        path.rename(_free(target))
        self.note(f"{path.relative_to(self._paths.root).as_posix()}: {why}")
        self.taken += 1

    def note(self, text: str) -> None:
        """Adds a line to the reasons."""
        line = _one_line(text)
        with (self._made() / REASONS).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        _LOG.warning("quarantine: %s", line)

    def _made(self) -> Path:
        if self._folder is None:
            name = time.strftime(_STAMP, time.gmtime(self._wall()))
            self._folder = _free(self._paths.quarantine / name)
            make_private_directory(self._folder)
        return self._folder


@dataclass(frozen=True)
class Quarantined:
    """What lies in quarantine: folders (one for each time that something was found), files and bytes."""

    folders: int
    files: int
    bytes: int

    def sentence(self, paths: ServerPaths) -> str:
        """Says for a person how much there is, and where."""
        times = "once" if self.folders == 1 else f"{self.folders} times"
        files = "1 file" if self.files == 1 else f"{self.files} files"
        return f"{files} set aside ({self.bytes / _MIB:.1f} MiB, {times}); {REASONS} in {paths.quarantine} tells why"


def quarantined(paths: ServerPaths) -> Quarantined:
    """Counts what lies in quarantine now."""
    if not paths.quarantine.is_dir():
        return Quarantined(0, 0, 0)
    sizes: list[int] = []
    # What cannot be looked into, or goes meanwhile, is passed over: this is only told.
    for folder, _folders, names in os.walk(paths.quarantine):
        for name in names:
            with contextlib.suppress(OSError):
                found = os.lstat(os.path.join(folder, name))
                sizes += [found.st_size] if name != REASONS and not stat.S_ISLNK(found.st_mode) else []
    folders = sum(entry.is_dir(follow_symlinks=False) for entry in os.scandir(paths.quarantine))
    return Quarantined(folders, len(sizes), sum(sizes))


def empty_old(paths: ServerPaths, older_than: float, age: Callable[[float], float]) -> int:
    """Deletes what has been in quarantine for more than `older_than` seconds; returns how many folders."""
    removed = 0
    for folder in list(paths.quarantine.iterdir()) if paths.quarantine.is_dir() else []:
        if folder.is_dir() and age(folder.stat().st_mtime) > older_than:
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


def _one_line(text: str) -> str:
    """The text without line breaks and bytes that are no text: names of files may have both."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _free(path: Path) -> Path:
    """The path, or the first of `path.1`, `path.2`, … that is not there."""
    candidate, number = path, 0
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}.{number}")
    return candidate
