# SPDX-License-Identifier: Apache-2.0
"""Which plan a run takes on a graphics card, and what a person is told of it.

Windows' driver lends main memory, a hundred times slower, where a card runs out, and raises nothing: so the plan is
chosen before the run, from what is free, and an error for want of memory only corrects it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from pgc.errors import ConfigError
from pgc.guidance.diffusion.memory.savings import MemorySavings
from pgc.guidance.specs import FlowSpec, GuidanceSpec, OracleSpec, SDXLSpec, StableDiffusionSpec
from pgc.runs.memory.device import DeviceMemory, cap_memory, device_memory
from pgc.runs.memory.ladder import MemoryPlan, plans_of
from pgc.runs.memory.needs import needed_gb, readers_gb, step_tflop, texels_gb, waiting_gb
from pgc.runs.memory.speeds import card_name, expected_seconds, in_words, peak_of
from pgc.runs.settings.presets import RunSettings

__all__ = ["DeviceMemory", "MemoryPlan", "MemoryPlanner", "cap_memory", "device_memory", "texels_gb"]

_GB = 10**9
_MARGIN = 1.05
_HOST_RESERVE = 2.0
"""GB of main memory that are left to everything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlanner:
    """The plans of one run on one device."""

    spec: GuidanceSpec
    settings: RunSettings
    """As asked for."""
    device: torch.device

    @property
    def plans(self) -> tuple[MemoryPlan, ...]:
        """The plans in the order of trying; the first is what was asked for."""
        return tuple(plans_of(self.spec, self.settings, self.device))

    def known(self, number: int) -> int:
        """Returns the number of the nearest plan that there is: a checkpoint of another version may name one past the
        last."""
        return min(max(number, 0), len(self.plans) - 1)

    def apply(self, number: int) -> tuple[GuidanceSpec, RunSettings, MemoryPlan]:
        """Returns the prior and the settings of a run with this plan; and the plan, whose `view_by_view` goes to the
        loop."""
        plan = self.plans[self.known(number)]
        spec, settings = self.spec, self.settings
        settings = replace(settings, optimize=replace(settings.optimize, views=plan.views, resolution=plan.resolution))
        if isinstance(spec, OracleSpec):
            return spec, settings, plan
        savings = MemorySavings(rows=plan.rows, streamed=plan.streamed)
        run = replace(spec.run, image_size=plan.image_size, memory=savings)
        return replace(spec, run=run), settings, plan

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
        spec, _, plan = self.apply(number)
        waiting = waiting_gb(plan, spec, self.device)
        needed = waiting + readers_gb(spec) + _HOST_RESERVE
        return waiting == 0.0 or memory.host is None or needed * _GB <= memory.host

    def estimate_bytes(self, number: int) -> int:
        """Estimates the peak of a run with this plan, the graphics driver's own share included."""
        spec, settings, plan = self.apply(number)
        return int(needed_gb(plan, spec, settings, self.device) * _GB)

    def expected_seconds(self, number: int, card: str | None = None) -> float | None:
        """Estimates how long all steps take on a card; None for one that is not known, or a prior that was not counted.

        Args:
            card: its name; None: that of this machine.
        """
        spec, settings, plan = self.apply(number)
        peak = peak_of(card_name(self.device) if card is None else card)
        tflop = step_tflop(plan, spec)
        if peak is None or tflop is None or isinstance(spec, OracleSpec):
            return None
        calls = 1 if plan.rows is None else -(-2 * plan.views // plan.rows)
        moved = waiting_gb(plan, spec, self.device) * calls
        # A warm start asks about other numbers of views; the share of a step says how much of the work it is.
        steps = 1.0 / (1.0 - settings.optimize.share_done(settings.optimize.warm_steps)) * settings.optimize.steps
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
        side, texels = self.settings.texture.texture_size, texels_gb(self.settings)
        own = f"of {side} x {side} pixels" + (f", which alone takes about {texels:.1f} GB" if texels >= 1 else "")
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
        other = f"{close}{smaller}"
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
