# SPDX-License-Identifier: Apache-2.0
"""Probes in forks of one Python that has bpy: what most of three hundred Blenders took was to start.

A fork has one thread. Blender's own work is then done by that one; Cycles waits for its others for ever, so a probe
that renders is started as ever. So is one whose settings folder has something in it, which a Blender reads as it
starts; any on a system other than Linux; and all of them under `PGC_TESTS_COLD=1`.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.blender.template import REQUEST_BYTES

__all__ = ["Forks", "forks_of"]

_TEMPLATE = Path(__file__).with_name("template.py")
_READ_AT_START = (
    "PYTHON",
    "BLENDER",
    "LD_",
    "LC_",
    "LANG",
    "HOME",
    "XDG_",
    "DISPLAY",
    "OMP_",
    "OCIO",
    "CYCLES",
    "MALLOC",
)
_ANYHOW = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "BLENDER_USER_RESOURCES", "BLENDER_BIN")


@dataclass(frozen=True, slots=True, eq=False)
class Forks:
    """The template of this process, and the way to it."""

    link: socket.socket
    started_with: Mapping[str, str]
    asking: threading.Lock

    def serves(self, environment: Mapping[str, str], resources: Path) -> bool:
        """Whether a fork is what a process would be that starts with these variables and settings."""
        return not any(resources.iterdir()) and _read_at_start(environment) == _read_at_start(self.started_with)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], output: Path, limit: float) -> int | None:
        """Runs a probe in a fork; returns its exit code, or None where it cannot be asked for: it is to be started.

        Raises:
            TimeoutExpired: it was not done after `limit` seconds; it is no more.
        """
        request = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "folder": os.getcwd(),
            "output": str(output),
        }
        packet = json.dumps(request).encode()
        if len(packet) > REQUEST_BYTES or not self.asking.acquire(blocking=False):
            return None
        pid: int | None = None
        try:
            self.link.settimeout(limit)
            self.link.send(packet)
            pid = json.loads(self._heard())["pid"]
            return int(json.loads(self._heard())["code"])
        except BaseException as error:
            # Whatever it was, the next answer would be to this request: the next probe has another template.
            self._give_up(pid)
            if isinstance(error, TimeoutError):
                raise subprocess.TimeoutExpired(list(arguments), limit) from error
            if isinstance(error, OSError):
                return None
            raise
        finally:
            self.asking.release()

    def _heard(self) -> bytes:
        answer = self.link.recv(100)
        if not answer:
            raise ConnectionError("The Python with bpy has ended.")
        return answer

    def _give_up(self, pid: int | None) -> None:
        for program in [program for program, forks in _started.items() if forks is self]:
            del _started[program]
        self.link.close()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    known = environment.items()
    return {name: value for name, value in known if name not in _ANYHOW and name.startswith(_READ_AT_START)}


_started: dict[str, Forks] = {}


def forks_of(program: str) -> Forks | None:
    """Returns where to ask for forks of a Python; it is started when first asked for. None: there can be none."""
    if program != sys.executable or not sys.platform.startswith("linux") or os.environ.get("PGC_TESTS_COLD"):
        return None
    if importlib.util.find_spec("bpy") is None:
        return None
    if program not in _started:
        _started[program] = _start(program)
    return _started[program]


def _start(program: str) -> Forks:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    settings = tempfile.TemporaryDirectory(prefix="pgc-blender-", ignore_cleanup_errors=True)
    started_with = {**os.environ, "BLENDER_USER_RESOURCES": settings.name}
    with its:
        template = subprocess.Popen(
            [program, "-P", str(_TEMPLATE), str(its.fileno())],
            env=started_with,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
        )
    if ours.recv(100) != b"ready":
        raise RuntimeError("The Python with bpy has ended; see above what it said.")

    def end() -> None:
        ours.close()
        template.wait()
        settings.cleanup()

    atexit.register(end)
    return Forks(link=ours, started_with=started_with, asking=threading.Lock())
