# SPDX-License-Identifier: Apache-2.0
"""What a person sees while a run goes on: a bar with the time left, or plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Protocol, TextIO, cast, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pgc.terminal.streams import ProgressStream

__all__ = ["RunDisplay", "Step", "progress_console"]

_LINES = 10
"""Lines over a whole run where no bar can be drawn."""


@runtime_checkable
class Step(Protocol):
    """Where a run stands: `pgc.optimization.loop.StepResult`, or what the server says."""

    @property
    def step(self) -> int:
        """How many steps are done: 1 after the first."""
        ...

    @property
    def steps(self) -> int:
        """How many steps the whole run has."""
        ...


def progress_console() -> Console:
    """Opens standard error as a console, which may break without ending the run that it tells of."""
    return Console(file=cast(TextIO, ProgressStream(sys.stderr)))


class RunDisplay:
    """Shows stages and steps on stderr."""

    def __init__(self, console: Console, label: str = "Texturing") -> None:
        self.console = console
        self.label = label
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[dim]left[/dim]"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._first: tuple[float, int] | None = None
        self._lines = 0
        self._stage = ""

    def __enter__(self) -> RunDisplay:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Shows a line above the bar."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def stage(self, name: str, fraction: float) -> None:
        """Shows a slow stage outside the loop, `fraction` of it done."""
        if name != self._stage:
            self._stage = name
            self.say(f"{name} …")

    def begin(self, label: str) -> None:
        """Begins another part of the work, whose steps are counted from the beginning."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self.label, self._task, self._first, self._lines = label, None, None, 0
        self.say(f"{label} …")

    def step(self, result: Step) -> None:
        """Shows one step of the loop."""
        if self._task is None:
            self._task = self._progress.add_task(self.label, total=result.steps)
        self._progress.update(self._task, completed=result.step)
        if not self.console.is_terminal:
            self._line(result)

    def _line(self, result: Step) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = (now, result.step)
        due = result.step * _LINES // result.steps
        if due > self._lines:
            self._lines = due
            done = result.step - self._first[1]
            left = (now - self._first[0]) / done * (result.steps - result.step) if done else float("nan")
            remaining = f", {left:.0f} s left" if done else ""
            self.say(f"{self.label}: step {result.step} of {result.steps}{remaining}")
