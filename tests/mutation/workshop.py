# SPDX-License-Identifier: Apache-2.0
"""A copy of the repository in which one module is changed, and its tests are run in a forked process.

Most of a short test run is the import of torch. Here it is imported once; every run begins as a copy of the process
that has it, and imports the repository's own modules anew.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Outcome", "Verdict", "Workshop", "warm_up"]

Verdict = Literal["killed", "survived", "timeout"]
_OWN = ("pgc", "server", "blender_addon", "tests", "conftest")
_WARM = (
    "numpy",
    "torch",
    "scipy.ndimage",
    "PIL.Image",
    "msgpack",
    "zmq",
    "hypothesis",
    "jaxtyping",
    "beartype",
    "pytest",
)
_QUIET = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")
_PAUSE = 0.02


def warm_up() -> None:
    """Imports what every run needs and none changes."""
    for name in _WARM:
        importlib.import_module(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run of tests ended."""

    verdict: Verdict
    seconds: float


class Workshop:
    """The copy. Nothing outside of it is written."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._folder = folder / "copy"
        self._log = folder / "log"
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True).stdout
        for name in filter(None, listed.decode().split("\0")):
            if (root / name).is_file():
                (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, self._folder / name)

    @property
    def log(self) -> str:
        """What the last run printed."""
        return self._log.read_text("utf-8", errors="replace")

    def read(self, module: str) -> str:
        """Returns the source of a module as it is in the copy."""
        return (self._folder / module).read_text("utf-8")

    def run(self, module: str, source: str, tests: Sequence[str], limit: float) -> Outcome:
        """Runs tests with another source of a module, which is put back after it.

        A run without a change leaves compiled files of all other modules to the runs that come; most of a short run
        is else spent on compiling.

        Args:
            limit: seconds after which the run is ended; a change that makes a loop endless is noticed by that.
        """
        path = self._folder / module
        original = path.read_text("utf-8")
        compiles = source == original
        path.write_text(source, "utf-8")
        began = time.monotonic()
        try:
            verdict = self._forked(tests, began + limit, compiles=compiles)
        finally:
            path.write_text(original, "utf-8")
            # The same second and the same size would make Python believe a compiled file of before.
            for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
                compiled.unlink()
        return Outcome(verdict=verdict, seconds=time.monotonic() - began)

    def _forked(self, tests: Sequence[str], end: float, *, compiles: bool) -> Verdict:
        pid = os.fork()
        if pid == 0:
            self._child(tests, compiles=compiles)
        while True:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                # The tests' own children, where a failure has left any.
                _end_group(pid)
                return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"
            if time.monotonic() > end:
                _end_group(pid)
                os.waitpid(pid, 0)
                return "timeout"
            time.sleep(_PAUSE)

    def _child(self, tests: Sequence[str], *, compiles: bool) -> None:
        code = 70
        try:
            os.setsid()
            log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(self._folder)
            sys.path.insert(0, str(self._folder))
            sys.dont_write_bytecode = not compiles
            # The limit of the whole run counts, and not one a test, which a busy machine reaches by itself.
            os.environ["PYTEST_TIMEOUT"] = "0"
            for name in list(sys.modules):
                if name.split(".")[0] in _OWN:
                    del sys.modules[name]
            import pytest

            code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *_QUIET, *tests]))
        except BaseException:  # noqa: BLE001
            # Whatever it is, this copy of the process must not go on as if it were the first one.
            traceback.print_exc()
        finally:
            os._exit(code)


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
