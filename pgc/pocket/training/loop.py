# SPDX-License-Identifier: Apache-2.0
"""The loop of the third edition's stages: steps, curves, checkpoints by the clock, since steps beside other work may
take any time."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pgc.pocket.training.state import TrainState

__all__ = ["Curve", "Pace", "run_steps"]

_LOG = logging.getLogger(__name__)
_CLOCKS = ("seconds", "processor_seconds")

LossAt = Callable[[int], tuple[Tensor, Mapping[str, float]]]
"""Loss of a step, and figures of it by name, some of which a step may lack."""


@dataclass(frozen=True)
class Pace:
    """How far to go, and how often to say so and to save."""

    steps: int
    """Of the whole schedule, over which the learning rate falls."""
    stop_at: int | None = None
    """Stop here, with the learning rate of the whole schedule."""
    log_every: int = 50
    save_seconds: float = 180.0

    @property
    def end(self) -> int:
        """The step to stop at."""
        return self.steps if self.stop_at is None else min(self.steps, self.stop_at)


class Curve:
    """Means of the figures over stretches of steps, and what a step of each stretch took."""

    def __init__(self, notes: Mapping[str, list[float]]) -> None:
        self.notes = {name: list(values) for name, values in notes.items()}
        self._figures: dict[str, list[float]] = {}
        self._clocks = time.monotonic(), time.process_time()

    def add(self, figures: Mapping[str, float]) -> None:
        """Takes the figures of one step; it must have a loss."""
        for name, value in figures.items():
            self._figures.setdefault(name, []).append(value)

    def close(self, step: int) -> None:
        """Notes the stretch that ends at ``step`` and begins another.

        A figure that no step of the stretch had is not a number there, so that all lists stay of one length.
        """
        count = max(1, len(self._figures.get("loss", ())))
        now = time.monotonic(), time.process_time()
        row = {name: sum(values) / len(values) for name, values in self._figures.items()}
        row |= {name: (b - a) / count for name, a, b in zip(_CLOCKS, self._clocks, now, strict=True)}
        lines = len(self.notes.get("step", ()))
        for name in {**self.notes, **row} if lines else row:
            values = self.notes.setdefault(name, [math.nan] * lines)
            if name != "step":
                values.append(round(row.get(name, math.nan), 5))
        self.notes.setdefault("step", []).append(float(step))
        _LOG.info("step %d: %s", step, ", ".join(f"{name} {value:.4g}" for name, value in row.items()))
        self._figures = {}
        self._clocks = now


def run_steps(
    state: TrainState, loss_at: LossAt, checkpoint: Path, pace: Pace, saved: Callable[[], None] | None = None
) -> Path:
    """Takes steps up to the pace's end, from the checkpoint where there is one; returns the checkpoint's path.

    ``saved`` is called after each save: there new data may be taken up.
    """
    curve = Curve(state.load(checkpoint) if checkpoint.exists() else {})
    last = time.monotonic()
    while state.step < pace.end:
        loss, figures = loss_at(state.step)
        state.update(loss, pace.steps)
        curve.add({"loss": float(loss.detach()), **figures})
        if state.step % pace.log_every == 0:
            curve.close(state.step)
        if state.step == pace.end or time.monotonic() - last >= pace.save_seconds:
            state.save(checkpoint, curve.notes)
            last = time.monotonic()
            if saved is not None:
                saved()
    return checkpoint
