# SPDX-License-Identifier: Apache-2.0
"""The run that another one replaces: kept beside it until that has a result, and given back where it comes to none."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

__all__ = ["EarlierRun"]


class EarlierRun:
    """Files of an earlier run, in a folder of their own inside the run's folder. Moving them is renaming them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.path = folder / "earlier-run"

    @property
    def is_there(self) -> bool:
        """Whether something was set aside."""
        return self.path.is_dir()

    def set_aside(self, names: Iterable[str]) -> None:
        """Moves the files of these names, relative to the run's folder; what is not there, or lies elsewhere, stays.

        Raises:
            OSError: the system refuses it; all is where it was then.
        """
        found = [name for name in names if _lies_below(name) and (self._folder / name).is_file()]
        if not found:
            return
        self.path.mkdir(exist_ok=True)
        try:
            for name in found:
                _move(self._folder / name, self.path / name)
        except OSError:
            self.give_back()
            raise

    def give_back(self) -> None:
        """Moves everything back, over what lies there."""
        if not self.is_there:
            return
        for path in sorted(self.path.rglob("*")):
            if path.is_file():
                _move(path, self._folder / path.relative_to(self.path))
        self.drop()

    def drop(self) -> None:
        """Deletes what was set aside. What cannot be deleted stays; it is in nobody's way."""
        shutil.rmtree(self.path, ignore_errors=True)


def _lies_below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and not Path(name).is_absolute() and path.parts != ()


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
