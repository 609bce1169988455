# SPDX-License-Identifier: Apache-2.0
"""A run by the plan that fits, and the same run with less where memory runs out all the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from pgc.devices import release_cached_memory
from pgc.errors import ConfigError
from pgc.guidance.base import Guidance
from pgc.optimization.config import OptimizeConfig
from pgc.runs.memory.costs import TeacherSpec
from pgc.runs.memory.errors import is_out_of_memory
from pgc.runs.memory.plan import PlannedRun, RunPlanner, cap_memory, device_memory

__all__ = ["Attempt", "Loop", "PriorSource", "until_it_fits"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PriorSource:
    """A prior that is loaded once a plan says how."""

    device: torch.device
    load: Callable[[TeacherSpec], Guidance]

    @staticmethod
    def of(guidance: Guidance) -> PriorSource:
        """Returns the source of a prior that is there: it stays as it is, whatever a plan asks of it."""
        return PriorSource(device=guidance.device, load=lambda spec: guidance)


@runtime_checkable
class Loop(Protocol):
    """What is set up as a plan says: `pgc.optimization.distillation_loop.DistillationLoop`."""

    step: int
    config: OptimizeConfig

    def encode_view_by_view(self) -> None:
        """Encodes with less memory."""
        ...

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Returns what was reached."""
        ...

    def load_state_dict(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Takes it up."""
        ...


class Attempt:
    """One attempt at a run, by one plan."""

    def __init__(self, run: PlannedRun, number: int, notes: tuple[str, ...]) -> None:
        self.run, self.number, self.notes = run, number, notes
        self.reached: tuple[dict[str, Tensor], dict[str, Any]] | None = None
        """What an attempt before had reached; after this one, what it had."""
        self._loop: Loop | None = None

    def begin(self, loop: Loop, saved: tuple[Mapping[str, Tensor], Mapping[str, Any]] | None) -> None:
        """Sets a loop up as the plan says, and takes up what was reached: by an attempt before, else what was saved.

        What is learnt does not depend on the plan, so that it may be another one.

        Raises:
            CheckpointError: what was saved does not fit.
        """
        if self.run.plan.view_by_view:
            loop.encode_view_by_view()
        tensors, header = self.reached or saved or ({}, {})
        if header:
            loop.load_state_dict(tensors, {**header, "config": loop.config.fingerprint()})
        self._loop = loop

    def keep(self) -> None:
        """Keeps what was reached, away from the device, and lets go of the loop."""
        loop, self._loop = self._loop, None
        if loop is not None and loop.step > 0:
            tensors, header = loop.state_dict()
            self.reached = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, header


class _Fitting(Generic[_T]):
    """Attempts, one after the other."""

    def __init__(self, planner: RunPlanner, attempt: Callable[[Attempt], _T]) -> None:
        self._planner, self._attempt = planner, attempt

    def once(self, attempt: Attempt) -> tuple[_T] | None:
        """Returns the outcome; None where memory ran out. The error and its frames are gone by then."""
        try:
            return (self._attempt(attempt),)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            attempt.keep()
            return None


def until_it_fits(
    planner: RunPlanner, attempt: Callable[[Attempt], _T], on_note: Callable[[str], None], *, least: int = 0
) -> _T:
    """Makes a run by the first plan that fits, says which that is, and goes on with a smaller one where memory ends.

    Args:
        planner: the plans.
        attempt: makes the run, or goes on with it; it calls `Attempt.begin` when its loop is there.
        on_note: is told what is chosen.
        least: number of the first plan to look at.

    Raises:
        ConfigError: no plan fits.
        PgcError: as the attempt.
    """
    memory = device_memory(planner.device)
    cap_memory(planner.device, memory)
    number = planner.choose(memory, least)
    # A run that goes on has said before why it has less.
    said = planner.describe(number, memory, since=least) if number > planner.known(least) else None
    notes = tuple(note for note in (said, planner.announce(number, memory)) if note is not None)
    for note in notes:
        on_note(note)
    fitting, reached = _Fitting(planner, attempt), None
    while True:
        this = Attempt(planner.planned(number), number, notes)
        this.reached = reached
        outcome = fitting.once(this)
        if outcome is not None:
            return outcome[0]
        reached = this.reached
        release_cached_memory()
        later = planner.after(number, device_memory(planner.device))
        if later is None:
            raise ConfigError(
                f"There is not enough memory for this run, even with one small view a step. {planner.suggestion()}"
            )
        note = planner.describe(later, since=number)
        on_note(note)
        notes, number = (*notes, note), later
