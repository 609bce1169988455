# SPDX-License-Identifier: Apache-2.0
"""Which plan a run takes on a graphics card, and what a person is told of it.

Windows' driver lends main memory, a hundred times slower, where a card runs out, and raises nothing: so the plan is
chosen before the run, from what is free, and an error for want of memory only corrects it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch

from pgc.errors import ConfigError
from pgc.guidance.diffusion.memory.savings import MemorySavings
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import FlowSpec, GuidanceSpec, OracleSpec, SDXLSpec, StableDiffusionSpec
from pgc.optimization.config import OptimizeConfig
from pgc.runs.memory.costs import TeacherSpec
from pgc.runs.memory.device import DeviceMemory, cap_memory, device_memory
from pgc.runs.memory.ladder import MemoryPlan, plans_of
from pgc.runs.memory.needs import (
    SubjectNeeds,
    needed_gb,
    readers_gb,
    step_tflop,
    texels_gb,
    texture_needs,
    waiting_gb,
)
from pgc.runs.memory.speeds import card_name, expected_seconds, in_words, peak_of
from pgc.runs.settings.presets import RunSettings

__all__ = ["DeviceMemory", "MemoryPlan", "MemoryPlanner", "PlannedRun", "RunPlanner", "SubjectPlanner", "cap_memory"]
__all__ += ["device_memory", "texels_gb"]

_GB = 10**9
_MARGIN = 1.05
_HOST_RESERVE = 2.0
"""GB of main memory that are left to everything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A run as a plan has it."""

    spec: TeacherSpec
    optimize: OptimizeConfig
    plan: MemoryPlan
    """Its `view_by_view` goes to the loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlanner(ABC):
    """The plans of one run on one device."""

    spec: TeacherSpec
    """The prior, as asked for."""
    device: torch.device

    @property
    @abstractmethod
    def needs(self) -> SubjectNeeds:
        """What is needed beside the prior."""

    @property
    def plans(self) -> tuple[MemoryPlan, ...]:
        """The plans in the order of trying; the first is what was asked for."""
        return tuple(plans_of(self.spec, self.needs.optimize, self.device))

    def known(self, number: int) -> int:
        """Returns the number of the nearest plan that there is: a checkpoint of another version may name one past the
        last."""
        return min(max(number, 0), len(self.plans) - 1)

    def planned(self, number: int) -> PlannedRun:
        """Returns the prior and the loop's settings of a run with this plan, and the plan."""
        plan = self.plans[self.known(number)]
        spec, optimize = self.spec, replace(self.needs.optimize, views=plan.views, resolution=plan.resolution)
        if not isinstance(spec, OracleSpec):
            savings = MemorySavings(rows=plan.rows, streamed=plan.streamed)
            spec = replace(spec, run=replace(spec.run, image_size=plan.image_size, memory=savings))
        return PlannedRun(spec=spec, optimize=optimize, plan=plan)

    def choose(self, memory: DeviceMemory | None, least: int = 0) -> int:
        """Chooses the first plan that fits, from number `least` on; the last, where that alone may.

        Raises:
            ConfigError: not even the last plan fits.
        """
        least = self.known(least)
        if memory is None:
            return least
        numbers = [number for number in range(least, len(self.plans)) if self._has_host(number, memory)]
        for number in numbers:
            if self.estimate_bytes(number) * _MARGIN <= memory.available:
                return number
        smallest = min(numbers, key=self.estimate_bytes, default=len(self.plans) - 1)
        needed = self.estimate_bytes(smallest)
        if not numbers or needed > memory.available:
            raise ConfigError(
                f"This run needs about {needed / _GB:.1f} GB on the graphics card even with one small view a step, "
                f"and {memory.available / _GB:.1f} of its {memory.total / _GB:.1f} GB are free. {self.suggestion()}"
            )
        return smallest

    def after(self, number: int, memory: DeviceMemory | None = None) -> int | None:
        """Returns the number of the next plan that needs less, for when this one ran out of memory; None: there is
        none."""
        number = self.known(number)
        failed = self.estimate_bytes(number)
        for later in range(number + 1, len(self.plans)):
            if self.estimate_bytes(later) < failed and (memory is None or self._has_host(later, memory)):
                return later
        return None

    def _has_host(self, number: int, memory: DeviceMemory) -> bool:
        """Whether the main memory takes the weights that this plan lets wait there."""
        run = self.planned(number)
        waiting = waiting_gb(run.plan, run.spec, self.device)
        needed = waiting + readers_gb(run.spec) + _HOST_RESERVE
        return waiting == 0.0 or memory.host is None or needed * _GB <= memory.host

    def estimate_bytes(self, number: int) -> int:
        """Estimates the peak of a run with this plan, the graphics driver's own share included."""
        run = self.planned(number)
        return int(needed_gb(run.plan, run.spec, self.needs, self.device) * _GB)

    def expected_seconds(self, number: int, card: str | None = None) -> float | None:
        """Estimates how long all steps take on a card; None for one that is not known, or a prior that was not counted.

        Args:
            card: its name; None: that of this machine.
        """
        run, pictures = self.planned(number), self.needs.pictures
        plan, optimize = run.plan, run.optimize
        peak = peak_of(card_name(self.device) if card is None else card)
        tflop = step_tflop(plan, run.spec, pictures)
        if peak is None or tflop is None:
            return None
        calls = pictures * (1 if plan.rows is None else -(-2 * plan.views // plan.rows))
        moved = waiting_gb(plan, run.spec, self.device) * calls
        # A warm start asks about other numbers of views; the share of a step says how much of the work it is.
        steps = 1.0 / (1.0 - optimize.share_done(optimize.warm_steps)) * optimize.steps
        return steps * expected_seconds(tflop, moved, peak)

    def announce(self, number: int, memory: DeviceMemory | None) -> str | None:
        """Says before the start what was chosen, and how long it may take; None where there is no card."""
        if memory is None:
            return None
        plan = self.plans[self.known(number)]
        how = _ways(plan)
        seconds = self.expected_seconds(number)
        return (
            f"Fits this graphics card ({self.estimate_bytes(number) / _GB:.1f} of {memory.available / _GB:.1f} GB free)"
            + (f" with {' and '.join(how)}" if how else "")
            + ("." if seconds is None else f": {in_words(seconds)}, by computation.")
        )

    def describe(self, number: int, memory: DeviceMemory | None = None, since: int = 0) -> str:
        """Says what a person is told about a smaller plan: why, and what it costs.

        Args:
            memory: what was free when the plan was chosen; None: it was taken because memory ran out.
            since: number of the plan before.
        """
        reason = f"{'This machine' if self.device.type == 'cpu' else 'The graphics card'} ran out of memory"
        if memory is not None:
            needed = self.estimate_bytes(since)
            reason = (
                f"What was asked for needs about {needed / _GB:.0f} GB on the graphics card, where "
                f"{memory.available / _GB:.1f} GB are free"
            )
        return f"{reason}: the job goes on with {_difference(self.plans[since], self.plans[number])}."

    def suggestion(self) -> str:
        """Says what to do where nothing fits: what takes the most comes first."""
        close = "Close other programs"
        if self.device.type != "cpu":
            close += " that use the graphics card (a render in Blender among them)"
        match self.spec:
            case SDXLSpec() | FlowSpec():
                smaller = ", take a smaller model (sd15)"
            case StableDiffusionSpec():
                smaller = ", take the pocket prior"
            case _:
                smaller = ""
        return self._with_sizes(f"{close}{smaller}")

    def _with_sizes(self, other: str) -> str:
        """What to do, and what of the run itself may be smaller."""
        return f"{other}, or {self.needs.smaller}."


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectPlanner(RunPlanner):
    """The plans of a run that learns a shape or a volume."""

    subject: SubjectNeeds

    @property
    def needs(self) -> SubjectNeeds:
        """What the subject needs."""
        return self.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlanner(RunPlanner):
    """The plans of a run that learns a texture."""

    spec: GuidanceSpec
    settings: RunSettings
    """As asked for."""

    @property
    def needs(self) -> SubjectNeeds:
        """What texels and views need."""
        return texture_needs(self.settings)

    def apply(self, number: int) -> tuple[GuidanceSpec, RunSettings, MemoryPlan]:
        """Returns the prior and the settings of a run with this plan; and the plan, whose `view_by_view` goes to the
        loop."""
        run = self.planned(number)
        # The planner's own prior is no Zero123, which paints no texture.
        assert not isinstance(run.spec, Zero123Spec)
        return run.spec, replace(self.settings, optimize=run.optimize), run.plan

    def _with_sizes(self, other: str) -> str:
        side, texels = self.settings.texture.texture_size, texels_gb(self.settings)
        own = f"of {side} x {side} pixels" + (f", which alone takes about {texels:.1f} GB" if texels >= 1 else "")
        least = self.estimate_bytes(len(self.plans) - 1)
        if texels >= 1 and texels * _GB > least / 2:
            return f"Ask for a smaller texture than the one {own}. Else: {other[0].lower()}{other[1:]}."
        return f"{other}, or ask for a smaller texture than the one {own}."


def _ways(plan: MemoryPlan) -> list[str]:
    """How a plan saves memory at the price of time alone."""
    ways = ["one view after the other"] if plan.view_by_view else []
    return [*ways, "the model in main memory"] if plan.streamed else ways


def _difference(before: MemoryPlan, after: MemoryPlan) -> str:
    changes: list[str] = []
    if after.views != before.views:
        changes.append(
            f"{after.views} instead of {before.views} views a step, which takes more steps for the same quality"
        )
    if after.resolution != before.resolution:
        changes.append(
            f"views of {after.resolution} instead of {before.resolution} pixels, so fine detail is less sharp"
        )
    if after.streamed and not before.streamed:
        changes.append("the model's weights in main memory, which takes about a second more a step")
    if not changes:
        changes.append("one view after the other, which takes about a sixth longer and changes nothing else")
    return ", and with ".join(changes)
