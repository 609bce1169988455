# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes on with the server from Blender: installing, removing, stopping. One at a time; main thread only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import bpy

from ..model.defects import note_defect
from ..model.state import AppState
from ..server_install.environment import Installed, read_installed
from ..server_install.progress import Progress
from ..server_install.server_commands import ServerCommand
from .settings import install_folder

__all__ = [
    "CommandTask",
    "Task",
    "begin",
    "cancel",
    "forget_installed",
    "installed",
    "is_busy",
    "message",
    "progress",
    "stop",
    "tick",
]

_SECONDS = 0.2


class Task(Protocol):
    """Something on a thread or in a process of its own."""

    @property
    def progress(self) -> Progress:
        """How far the task has come."""
        ...

    def start(self) -> None:
        """Starts the task and returns at once. Raises OSError where it cannot start."""
        ...

    def cancel(self) -> None:
        """Asks the task to end and returns at once."""
        ...

    def join(self, seconds: float) -> bool:
        """Waits for the end; returns False where it has not come within `seconds`."""
        ...


class CommandTask:
    """A command of the server as a task."""

    def __init__(self, command: ServerCommand, label: str) -> None:
        self._command = command
        self._progress = Progress(state="running", step=label)

    @property
    def progress(self) -> Progress:
        """How far the command has come; the process is asked whether it has ended."""
        if self._progress.state == "running" and (result := self._command.result()) is not None:
            went_well, text = result
            self._progress = Progress(state="done" if went_well else "failed", factor=1.0, detail=text)
        return self._progress

    def start(self) -> None:
        """Starts the command. Raises OSError where the interpreter cannot be run."""
        self._command.start()

    def cancel(self) -> None:
        """Does nothing: a server that was told to stop does stop, and there is nothing to take back."""

    def join(self, seconds: float) -> bool:
        """Returns True at once: nothing of ours runs on."""
        return True


@dataclass(slots=True)
class _State:
    task: Task | None = None
    last: Progress | None = None
    seen: tuple[Path, Installed | None] | None = None


_state = _State()


def begin(task: Task) -> None:
    """Starts a task; its end is shown in the preferences. Raises OSError where it cannot start."""
    task.start()
    _state.task, _state.last = task, None
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=_SECONDS, persistent=True)


def tick() -> float | None:
    """Looks at the task and redraws; the timer ends with it."""
    task = _state.task
    if task is None:
        return None
    try:
        now = task.progress
    except Exception as error:  # noqa: BLE001 - the timer ends with the task, and the preferences say why
        now = Progress(state="failed", detail=note_defect(AppState(), "Asking the server's task", error).text)
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in {"PREFERENCES", "VIEW_3D"}:
                area.tag_redraw()
    if now.state == "running":
        return _SECONDS
    _state.task, _state.last = None, now
    forget_installed()
    return None


def is_busy() -> bool:
    """Says whether a task is under way."""
    return _state.task is not None


def progress() -> Progress | None:
    """Returns how far the task under way has come; None where there is none."""
    return _state.task.progress if _state.task is not None else None


def message() -> Progress | None:
    """Says how the last task ended; None where there was none."""
    return _state.last


def cancel() -> None:
    """Cancels the task under way."""
    if _state.task is not None:
        _state.task.cancel()


def installed() -> Installed | None:
    """Returns what Install Server has installed. The disk is asked once, then after each task and each other folder."""
    folder = install_folder()
    if _state.seen is None or _state.seen[0] != folder:
        _state.seen = (folder, read_installed(folder))
    return _state.seen[1]


def forget_installed() -> None:
    """Forgets what is installed, so that the disk is asked again the next time."""
    _state.seen = None


def stop() -> None:
    """Ends the tasks, since the extension is disabled: cancels, waits for the thread, and leaves no timer."""
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    if _state.task is not None:
        _state.task.cancel()
        _state.task.join(10.0)
    _state.task, _state.last, _state.seen = None, None, None
