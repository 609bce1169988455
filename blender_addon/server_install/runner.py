# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a plan on a thread of its own, command after command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from .environment import begin, environment_python, finish, read_installed, remove
from .errors import InstallError
from .planning import Plan, Step
from .progress import PipProgress, Progress
from .pythons import NO_WINDOW, clean_environment

__all__ = ["Installation", "Removal"]

_KEPT_LINES = 40
_STOP_SECONDS = 60.0
_HINTS = (
    (r"No matching distribution found|Could not find a version", "the package index lacks it for this Python"),
    (r"No space left|not enough space", "the disk is full; make room and try again"),
    (r"CERTIFICATE_VERIFY_FAILED", "a proxy or a virus scanner changes secure connections; ask who runs the network"),
    (
        r"NewConnectionError|NameResolutionError|Temporary failure in name resolution|getaddrinfo|ConnectTimeout",
        "there is no way to the package index; check the network and try again",
    ),
    (r"Permission denied|Access is denied", "the folder is not writable, or the server is still running; stop it"),
)


class Installation:
    """One run of a plan. Make it and call `start` on the main thread; `progress` may be read at any time.

    Args:
        plan: without obstacles. log: gets everything that the commands print.
        on_progress: called on the installation's thread with each new Progress; it may not touch bpy.

    Raises:
        InstallError: the plan has obstacles.
    """

    def __init__(self, plan: Plan, log: Path, on_progress: Callable[[Progress], None] | None = None) -> None:
        if plan.obstacles:
            raise InstallError(plan.obstacles[0].text + ".")
        self._plan, self._log, self._on_progress = plan, log, on_progress
        self._lock = threading.Lock()
        self._progress = Progress(state="running", step=plan.steps[0].label)
        self._process: subprocess.Popen[str] | None = None
        self._cancelled = False
        self._thread = threading.Thread(target=self._run, name="pgc-install", daemon=True)

    @property
    def progress(self) -> Progress:
        """How far the installation is."""
        with self._lock:
            return self._progress

    def start(self) -> None:
        """Begins the installation; returns at once."""
        self._thread.start()

    def cancel(self) -> None:
        """Ends the command under way; what is there is deleted. Returns at once."""
        with self._lock:
            self._cancelled = True
            process = self._process
        if process is not None:
            _end(process)

    def join(self, seconds: float) -> bool:
        """Waits for the end; returns False where it is not there yet."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _say(self, progress: Progress) -> None:
        with self._lock:
            self._progress = progress
        if self._on_progress is not None:
            self._on_progress(progress)

    def _run(self) -> None:
        folder = self._plan.request.folder
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("w", encoding="utf-8") as log:
                # An environment from before is replaced, and its server may be running.
                stop_server(folder)
                begin(folder)
                failure = self._run_steps(log)
            if failure is None:
                finish(folder, self._plan.request.requirement)
            else:
                remove(folder)
        except InstallError as error:
            failure = str(error)
        except OSError as error:
            failure = f"{error.filename or folder} cannot be written ({error.strerror or error})."
        factor = self.progress.factor
        if self._cancelled:
            self._say(Progress(state="cancelled", factor=factor, detail="Cancelled; nothing was kept."))
        elif failure is not None:
            self._say(Progress(state="failed", factor=factor, detail=failure))
        else:
            self._say(Progress(state="done", factor=1.0, detail=str(environment_python(folder))))

    def _run_steps(self, log: IO[str]) -> str | None:
        begun = 0.0
        for step in self._plan.steps:
            if self._cancelled:
                return "cancelled"
            failure = self._run_step(step, begun, log)
            if failure is not None:
                return failure
            begun += step.share
        return None

    def _run_step(self, step: Step, begun: float, log: IO[str]) -> str | None:
        """None where it went well, else the sentence for the artist."""
        self._say(Progress(state="running", step=step.label, factor=begun))
        pip = PipProgress(expected=round(self._plan.download * step.share))
        lines: list[str] = []
        log.write(f"$ {' '.join(step.command)}\n")
        try:
            with self._start(step) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    log.write(line)
                    log.flush()
                    lines = [*lines, line.rstrip()][-_KEPT_LINES:]
                    pip = pip.after(line)
                    factor = begun + step.share * pip.factor
                    self._say(Progress(state="running", step=step.label, factor=factor, detail=pip.detail))
        except OSError as error:
            return f"{step.command[0]} cannot be run ({error.strerror or error}); install Python and try again."
        with self._lock:
            self._process = None
        if process.returncode == 0:
            return None
        return f"{step.label} failed: {_reason(lines, process.returncode)} All of it is in {self._log}."

    def _start(self, step: Step) -> subprocess.Popen[str]:
        with self._lock:
            self._process = process = subprocess.Popen(
                step.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                env={**clean_environment(os.environ), "PYTHONUNBUFFERED": "1", "PIP_PROGRESS_BAR": "off"},
                # With its children: pip builds in processes of its own.
                process_group=0 if os.name == "posix" else None,
                creationflags=NO_WINDOW | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
            late = self._cancelled
        if late:
            _end(process)
        return process


class Removal:
    """Deletes an environment on a thread of its own: it has tens of thousands of files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._progress = Progress(state="running", step="Removing the Server")
        self._thread = threading.Thread(target=self._run, name="pgc-remove", daemon=True)

    @property
    def progress(self) -> Progress:
        """How far the removal is: running, done, or failed with the reason."""
        return self._progress

    def start(self) -> None:
        """Begins the removal; returns at once."""
        self._thread.start()

    def cancel(self) -> None:
        """Does nothing, since a removal cannot be taken back; what is left is known as unfinished, and removed the next
        time.
        """

    def join(self, seconds: float) -> bool:
        """Waits for the end; returns False where it is not there yet."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            stop_server(self._folder)
            remove(self._folder)
        except InstallError as error:
            self._progress = Progress(state="failed", detail=str(error))
        else:
            self._progress = Progress(state="done", factor=1.0, detail="The server is removed; its data is kept.")


def stop_server(folder: Path) -> None:
    """Stops the server that runs from an environment, if there is one; its jobs go on at the next start.

    Raises:
        InstallError: it does not stop, so its files cannot be deleted.
    """
    installed = read_installed(folder)
    if installed is None:
        return
    try:
        done = subprocess.run(
            [str(installed.python), "-P", "-m", "server", "stop"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_STOP_SECONDS,
            check=False,
            env=clean_environment(os.environ),
            creationflags=NO_WINDOW,
        )
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"The server did not stop within {_STOP_SECONDS:.0f} s; stop it, then try again.") from error
    except OSError:
        return  # What cannot be run is not running.
    if done.returncode and "No module named" not in done.stderr:
        last = ((done.stdout + done.stderr).strip().splitlines() or ["it did not say why"])[-1]
        raise InstallError(f"The server cannot be stopped ({last}); stop it, then try again.")


def _end(process: subprocess.Popen[str]) -> None:
    if os.name != "posix":
        process.terminate()
        return
    try:
        # What it wrote is deleted anyway, so it need not tidy up.
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # It was faster.


def _reason(lines: Sequence[str], code: int) -> str:
    """The last error of pip itself, with what to do about the common ones."""
    text = "\n".join(lines)
    said = [line.partition("ERROR:")[2].strip() for line in lines if "ERROR:" in line]
    last = said[-1] if said else next((line for line in reversed(lines) if line.strip()), f"exit code {code}")
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, text, re.IGNORECASE)), None)
    end = last.rstrip(".")
    return f"{end}: {hint}." if hint else f"{end}."
