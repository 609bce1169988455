# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder that holds the server's own Python environment, and the file by which it is known to be ours."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ..whole_file import write_whole
from .errors import InstallError

__all__ = ["MARKER", "Installed", "begin", "environment_python", "finish", "read_installed", "remove"]

MARKER = "pgc-environment.json"
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A finished installation. `python` runs the server: `python -m server …`."""

    folder: Path
    python: Path
    requirement: str


def environment_python(folder: Path) -> Path:
    """Says where a virtual environment keeps its interpreter."""
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


def begin(folder: Path) -> None:
    """Makes the folder, or empties it where an earlier installation of ours was not finished.

    Raises:
        InstallError: it holds something that this did not put there, or cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        remove(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, {"schema": SCHEMA, "finished": False})
    except OSError as error:
        raise InstallError(f"{folder} cannot be written ({error.strerror or error}); choose another folder.") from error


def finish(folder: Path, requirement: str) -> None:
    """Notes that the installation in a folder is whole. Raises InstallError where even that cannot be written."""
    try:
        _write(folder, {"schema": SCHEMA, "finished": True, "requirement": requirement})
    except OSError as error:
        raise InstallError(f"{folder} cannot be written ({error.strerror or error}); is the disk full?") from error


def read_installed(folder: Path) -> Installed | None:
    """Says what is installed in a folder; None where nothing is, or where it is not finished."""
    facts = _read(folder)
    python = environment_python(folder)
    if facts is None or facts.get("finished") is not True or not python.exists():
        return None
    return Installed(folder=folder, python=python, requirement=str(facts.get("requirement", "")))


def remove(folder: Path) -> None:
    """Deletes an environment. Raises InstallError where it is none of ours, or is in use."""
    if not folder.exists():
        return
    if folder.is_symlink() or _read(folder) is None:
        raise InstallError(
            f"{folder} was not made by Install Server, so nothing in it is deleted; choose another folder, or empty it."
        )
    try:
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != MARKER:
                path.unlink()
        # Last, so that what is left of an interrupted removal is still known as ours.
        (folder / MARKER).unlink()
        folder.rmdir()
    except OSError as error:
        what = f"{error.filename or folder} cannot be deleted ({error.strerror or error})"
        raise InstallError(f"{what}; stop the server, then try again.") from error


def _read(folder: Path) -> dict[str, object] | None:
    try:
        facts = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return cast(dict[str, object], facts) if isinstance(facts, dict) else None


def _write(folder: Path, facts: dict[str, object]) -> None:
    write_whole(folder / MARKER, json.dumps(facts).encode())
