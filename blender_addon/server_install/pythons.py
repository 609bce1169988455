# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Python the server's environment is made with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..module_process import clean_environment

__all__ = ["NEWEST", "NO_WINDOW", "OLDEST", "Interpreter", "ask", "candidates", "choose", "clean_environment"]

OLDEST, NEWEST = (3, 11), (3, 14)
"""Versions that the server and PyTorch have packages for."""
_ASK = (
    "import sys, json, venv, ensurepip;"
    "print(json.dumps({'path': sys.executable, 'version': sys.version_info[:2], 'bits': sys.maxsize > 2**32}))"
)
_SECONDS = 20.0
NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)
"""Windows would show a console for each command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python that can make an environment. `of_blender`: the one that Blender brings."""

    path: str
    version: tuple[int, int]
    of_blender: bool = False


def candidates() -> list[list[str]]:
    """Returns the commands that may start a Python on this machine, the best first; not the newest, which packages lag
    behind.
    """
    if os.name == "nt":
        # The launcher first: a bare `python` may be the shortcut to the Store.
        return [["py", "-3.12"], ["py", "-3.13"], ["py", "-3.11"], ["py", "-3"], ["python"]]
    return [[f"python3{suffix}"] for suffix in (".12", ".13", ".11", "", ".14")] + [["python"]]


def ask(command: list[str], *, of_blender: bool = False) -> Interpreter | None:
    """Returns the interpreter behind a command; None where it does not run, is too old or too new, or cannot make
    environments (Debian keeps that in a package of its own).
    """
    program = shutil.which(command[0])
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *command[1:], "-I", "-c", _ASK],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            env=clean_environment(os.environ),
            creationflags=NO_WINDOW,
        )
        facts = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    version = (int(facts["version"][0]), int(facts["version"][1]))
    if done.returncode or not OLDEST <= version <= NEWEST or not facts["bits"] or not facts["path"]:
        return None
    return Interpreter(path=str(facts["path"]), version=version, of_blender=of_blender)


def choose(
    commands: Iterable[list[str]] | None = None,
    blender_python: str = sys.executable,
    ask: Callable[..., Interpreter | None] = ask,
) -> Interpreter | None:
    """Returns the first Python of this machine that fits; else Blender's own, which only lends itself: what is
    installed goes into the environment, never into Blender. None where neither fits.
    """
    for command in candidates() if commands is None else commands:
        found = ask(command)
        if found is not None:
            return found
    return ask([blender_python], of_blender=True) if blender_python else None
