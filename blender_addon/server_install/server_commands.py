# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of the server that the panel runs without waiting for them, and the end of its log."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from .pythons import NO_WINDOW, clean_environment

__all__ = ["LogLine", "ServerCommand", "read_log"]

_TAIL_BYTES = 64 * 1024


class ServerCommand:
    """`python -m server …` under way, with -P: a folder named server where Blender was started is not it.

    Args:
        python: interpreter that has the server. limit: seconds after which it is ended.
    """

    def __init__(
        self,
        python: str,
        arguments: Sequence[str],
        *,
        limit: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._arguments, self._python = tuple(arguments), python
        self._limit, self._clock = limit, clock
        self._begun = clock()
        # A file, since a pipe that nobody reads may fill.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begins the command; returns at once. Raises OSError where the interpreter cannot be run."""
        self._process = subprocess.Popen(
            [self._python, "-P", "-m", "server", *self._arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=clean_environment(os.environ),
            creationflags=NO_WINDOW,
        )

    def result(self) -> tuple[bool, str] | None:
        """Says whether it went well, and its last line; None while it goes on. Not to be asked again after the end."""
        process = self._process
        assert process is not None, "start() comes first"
        if process.poll() is None:
            if self._clock() - self._begun < self._limit:
                return None
            process.kill()
            process.wait()
            self.close()
            return False, f"The server did not answer within {self._limit:.0f} s; look into its log."
        self._output.seek(0)
        lines = self._output.read().decode("utf-8", "replace").strip().splitlines()
        self.close()
        last = lines[-1] if lines else f"It ended with exit code {process.returncode}."
        return process.returncode == 0, last

    def close(self) -> None:
        """Lets go of the output; the command itself goes on."""
        self._output.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of the server's log."""

    level: str
    text: str


def read_log(path: Path, lines: int = 12) -> list[LogLine]:
    """Returns the last lines of a log of one JSON object a line; a line that is none is shown as it stands. Empty
    without a log.
    """
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            start = max(0, stream.tell() - _TAIL_BYTES)
            stream.seek(start)
            data = stream.read()
    except FileNotFoundError:
        return []
    except OSError as error:
        return [LogLine(level="error", text=f"{path} cannot be read ({error.strerror or error}).")]
    found = data.decode("utf-8", "replace").splitlines()
    # The first may have lost its beginning.
    return [_parse(line) for line in (found[1:] if start else found)[-lines:]]


def _parse(line: str) -> LogLine:
    try:
        facts = json.loads(line)
    except ValueError:
        return LogLine(level="info", text=line)
    if not isinstance(facts, dict):
        return LogLine(level="info", text=line)
    known = cast(dict[str, object], facts)
    clock, text = str(known.get("ts", ""))[11:19], str(known.get("msg", line))
    return LogLine(level=str(known.get("lvl", "info")), text=f"{clock} {text}".strip())
