# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Python has the server, and where the server keeps its data: chosen in the preferences, or found."""

from __future__ import annotations

import shutil
from pathlib import Path

import bpy

from ..client import default_connection_file
from ..stored_preferences import addon_preferences, connection_file
from . import tasks as server_tasks

__all__ = ["server_data", "server_python"]


def server_python() -> str | None:
    """Returns the Python that has the server; None where none is known."""
    preferences = addon_preferences()
    if preferences is not None and preferences.python:
        return bpy.path.abspath(preferences.python)
    installed = server_tasks.installed()
    if installed is not None:
        return str(installed.python)
    command = shutil.which("pgc-server")
    if command is None:
        return None
    # The command lies beside the Python that it was installed with.
    folder = Path(command).resolve().parent
    names = ("python.exe",) if folder.name == "Scripts" else ("python3", "python")
    return next((str(folder / name) for name in names if (folder / name).exists()), None)


def server_data() -> Path | None:
    """Returns the data folder of a server that is to write the chosen connection file; None: the user's own."""
    file = connection_file()
    return None if file == default_connection_file() else file.parent
