# SPDX-License-Identifier: Apache-2.0
"""Runs a function of a probe script in a Blender of its own: pip's bpy, or the program itself.

A probe script is a module with functions that take and return plain JSON values.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.blender.forked import forks_of

__all__ = ["ROOT", "BlenderProcess", "ProbeError", "find_blender", "probe_script"]

ROOT = Path(__file__).resolve().parents[2]
_HERE = Path(__file__).parent
_RUNNER = Path(__file__).with_name("probe_runner.py")
_FLAGS = ("--background", "--disable-crash-handler", "--python-exit-code", "3", "--python")


class ProbeError(AssertionError):
    """A probe did not end well; the text holds the end of what Blender printed."""


def probe_script(name: str) -> Path:
    """Return the probe script of this name, in whichever folder below this one it lies.

    Raises:
        ProbeError: there is none, or there are several.
    """
    found = sorted(_HERE.rglob(name))
    if len(found) != 1:
        raise ProbeError(f"Got {len(found)} files named {name} below {_HERE.name}; expected one.")
    return found[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlenderProcess:
    """How to start one Blender.

    Args:
        program: Blender's executable, or a Python that has bpy.
        is_module: True for the latter.
    """

    program: str
    is_module: bool
    environment: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{'bpy in ' if self.is_module else ''}{self.program}"

    def command(self, arguments: list[str]) -> list[str]:
        """The command that runs the probe runner with these arguments."""
        if self.is_module:
            return [self.program, "-P", str(_RUNNER), *arguments]
        return [self.program, *_FLAGS, str(_RUNNER), "--", *arguments]

    def call(
        self,
        script: Path,
        probe: str,
        arguments: Mapping[str, Any],
        *,
        work: Path,
        limit: float,
        own_process: bool = False,
    ) -> Any:
        """Call `probe(**arguments)` of `script` in a fresh process.

        Args:
            work: folder for the answer and for Blender's own settings, `work/resources`; calls with the same
                folder see the same settings. limit: seconds. own_process: it is started and not forked, as what renders
                with Cycles has to be.

        Raises:
            ProbeError: it failed, died, or was not done within the limit.
        """
        answer, resources = work / "answer.json", work / "resources"
        answer.unlink(missing_ok=True)
        resources.mkdir(parents=True, exist_ok=True)
        known = os.environ.get("PYTHONPATH")
        environment = {
            **os.environ,
            "BLENDER_USER_RESOURCES": str(resources),
            "PYTHONPATH": os.pathsep.join([str(ROOT), *([known] if known else [])]),
            **self.environment,
        }
        command = self.command([str(script), probe, json.dumps(arguments), str(answer)])
        output = work / "output.txt"
        try:
            code = self._run(command, environment, resources, output, limit, own_process=own_process)
        except subprocess.TimeoutExpired as error:
            raise ProbeError(f"{probe} was not done after {limit:.0f} s.\n{_end_of(output)}") from error
        if code or not answer.exists():
            raise ProbeError(f"{probe} ended with exit code {code}.\n{_end_of(output)}")
        return json.loads(answer.read_text(encoding="utf-8"))

    def _run(
        self,
        command: list[str],
        environment: Mapping[str, str],
        resources: Path,
        output: Path,
        limit: float,
        *,
        own_process: bool,
    ) -> int:
        forks = forks_of(self.program) if self.is_module and not own_process else None
        output.write_bytes(b"")
        if forks is not None and forks.serves(environment, resources):
            code = forks.run(command[2:], environment, output, limit)
            if code is not None:
                return code
        with output.open("wb") as stream:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                timeout=limit,
                env=environment,
                check=False,
            ).returncode


def _end_of(output: Path) -> str:
    return output.read_text(encoding="utf-8", errors="replace")[-6000:]


def find_blender(environment: Mapping[str, str]) -> BlenderProcess | None:
    """BLENDER_BIN (Blender's executable), else PGC_BPY_PYTHON (a Python with bpy), else this Python if it has bpy."""
    if program := environment.get("BLENDER_BIN"):
        return BlenderProcess(program=program, is_module=False)
    if python := environment.get("PGC_BPY_PYTHON"):
        return BlenderProcess(program=python, is_module=True)
    if importlib.util.find_spec("bpy") is not None:
        return BlenderProcess(program=sys.executable, is_module=True)
    return None
