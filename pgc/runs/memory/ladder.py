# SPDX-License-Identifier: Apache-2.0
"""The plans of a run, from what was asked for down to the least.

What costs time alone comes first: the encoder's gradient one view at a time, then weights that wait in main memory.
Only then do views a step go, and the size of a view last of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from pgc.distillation.vsd import VSDConfig
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import OracleSpec, PocketSpec
from pgc.optimization.config import OptimizeConfig
from pgc.runs.memory.costs import DiffusionSpec, TeacherSpec, cost_of

__all__ = ["MemoryPlan", "plans_of"]

_SMALLEST_RESOLUTION = 64
_SMALLEST_IMAGE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """What of a run's size depends on memory."""

    views: int
    """A step."""
    resolution: int
    """Side of a view, in pixels."""
    image_size: int | None = None
    """Side of the pictures that the prior sees; None: what it was trained on, or what was asked for."""
    view_by_view: bool = False
    """The encoder holds one view at a time, which it encodes a second time for that."""
    rows: int | None = None
    """The most views, with and without the prompt, that the prior is asked about at once; None: all."""
    streamed: bool = False
    """The prior's weights wait in main memory."""


def plans_of(spec: TeacherSpec, optimize: OptimizeConfig, device: torch.device) -> Iterator[MemoryPlan]:
    """Gives the plans in the order of trying; the first is what was asked for."""
    plan, image_size = MemoryPlan(views=optimize.views, resolution=optimize.resolution), None
    if not isinstance(spec, OracleSpec):
        asked, image_size = spec.run.memory, spec.run.image_size
        plan = replace(plan, image_size=image_size, rows=asked.rows, streamed=asked.streamed)
    yield plan
    if not isinstance(spec, OracleSpec):
        leaner = _leaner(plan, spec)
        if leaner.view_by_view or not spec.run.sequential_guidance:
            plan = leaner
            yield plan
        if not plan.streamed and _may_stream(spec, optimize, device):
            plan = replace(plan, streamed=True)
            yield plan
    while plan.views > 1:
        plan = replace(plan, views=plan.views // 2)
        plan = plan if isinstance(spec, OracleSpec) else _leaner(plan, spec)
        yield plan
    for share in (0.75, 0.5):
        smaller = _smaller(plan, spec, optimize.resolution, image_size, share)
        if smaller.resolution < plan.resolution:
            plan = smaller
            yield plan


def _leaner(plan: MemoryPlan, spec: DiffusionSpec) -> MemoryPlan:
    """The encoder's graph one view at a time, and as many rows as take no more than it does.

    A single view's graph is held, which spares its second encoding, where it leaves room to ask the prior.
    """
    cost = cost_of(spec)
    if plan.views == 1 and cost.encoder_held + cost.row <= cost.encoder_peak:
        return replace(plan, view_by_view=False, rows=1)
    rows = max(1, int(cost.encoder_peak / cost.row))
    return replace(plan, view_by_view=True, rows=rows if plan.rows is None else min(rows, plan.rows))


def _may_stream(spec: DiffusionSpec, optimize: OptimizeConfig, device: torch.device) -> bool:
    """Not where there is no other memory; nor where a loss learns in the network, whose graph would hold every copy."""
    is_learning = isinstance(optimize.distillation, VSDConfig)
    return device.type == "cuda" and not is_learning and not isinstance(spec, PocketSpec | Zero123Spec)


def _smaller(plan: MemoryPlan, spec: TeacherSpec, resolution: int, image_size: int | None, share: float) -> MemoryPlan:
    """Of what was asked for: pixels of a view and of the prior's picture."""
    plan = replace(plan, resolution=max(int(resolution * share) // 8 * 8, min(_SMALLEST_RESOLUTION, resolution)))
    if isinstance(spec, OracleSpec | PocketSpec):
        return plan
    own = image_size or cost_of(spec).image_size
    # A token of a flow model stands for 16 pixels.
    return replace(plan, image_size=min(own, max(int(own * share) // 16 * 16, _SMALLEST_IMAGE)))
