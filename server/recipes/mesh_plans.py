# SPDX-License-Identifier: Apache-2.0
"""Memory plans of jobs whose result is a mesh: those of the library's own runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import torch

from pgc.runs.memory.plan import MemoryPlan, SubjectPlanner
from pgc.shape.memory import shape_needs
from pgc.shape.settings import ShapeSettings
from pgc.volume.memory import volume_needs
from pgc.volume.settings import VolumeSettings
from server.recipes.settings import PriorSpec

__all__ = ["as_planned", "mesh_planner"]

Settings = TypeVar("Settings", bound=ShapeSettings | VolumeSettings)


def mesh_planner(prior: PriorSpec, settings: ShapeSettings | VolumeSettings, device: torch.device) -> SubjectPlanner:
    """Returns the planner of a run's memory on a device."""
    needs = volume_needs(settings) if isinstance(settings, VolumeSettings) else shape_needs(settings)
    return SubjectPlanner(spec=prior, subject=needs, device=device)


def as_planned(
    prior: PriorSpec, settings: Settings, device: torch.device, number: int
) -> tuple[PriorSpec, Settings, MemoryPlan]:
    """Returns the prior and the settings of a run with a plan; and the plan, whose `view_by_view` goes to the loop."""
    run = mesh_planner(prior, settings, device).planned(number)
    return run.spec, replace(settings, optimize=run.optimize), run.plan
