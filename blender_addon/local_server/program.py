# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Python has the server, where the server keeps its data, and how a model is fetched for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import bpy

from ..client import ConnectionFileError, ServerAddress, default_connection_file
from ..module_process import module_command, terminal_line
from ..stored_preferences import addon_preferences, connection_file
from . import tasks as server_tasks
from .reach import is_loopback

__all__ = ["model_command", "server_data", "server_python"]


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


def model_command(model: str) -> str:
    """Returns the command that fetches a model, for a terminal on the server's machine.

    The server that Blender installed is on no search path, so that its Python is named; other machines have their own.
    """
    python, data = server_python(), server_data()
    if python is None or not _is_here():
        return f"pgc-server models pull {model}"
    where = () if data is None else ("--data", str(data))
    return terminal_line(module_command(python, "server", ["models", "pull", model, *where]))


def _is_here() -> bool:
    try:
        return is_loopback(ServerAddress.from_connection_file(connection_file()).host)
    except ConnectionFileError:
        return True
