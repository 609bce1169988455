# SPDX-License-Identifier: Apache-2.0
"""How a module of another Python is run, so that it is that Python's module and nothing that lies about.

`python -m server` looks first into the folder that it is started in, and Blender is started anywhere: a `server.py` in
an artist's project would be run. `-P` keeps the folder out, and what Blender or a shell set for a Python of their own
stays behind.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["clean_environment", "module_command", "module_environment", "terminal_line"]

_INHERITED = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONUSERBASE", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


def module_command(python: str, module: str, arguments: Sequence[str]) -> list[str]:
    """Returns the command line that runs a module without the working directory on its path."""
    return [python, "-P", "-m", module, *arguments]


def module_environment(python: str, source: Path | None = None) -> dict[str, str]:
    """Returns the variables for such a command: this process's own for this very interpreter, cleaned ones for another.

    Args:
        source: folder that holds the module where it need not be installed.
    """
    environment = dict(os.environ) if python == sys.executable else clean_environment(os.environ)
    if source is not None:
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([str(source), *([known] if known else [])])
    return environment


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment without what Blender or a shell may have set for a Python of their own."""
    return {key: value for key, value in environment.items() if key not in _INHERITED}


def terminal_line(command: Sequence[str]) -> str:
    """Returns a command as a terminal of this system takes it, spaces and all."""
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)
