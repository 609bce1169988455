# SPDX-License-Identifier: Apache-2.0
"""Jobs for shapes have the memory plans of the library's own runs."""

from __future__ import annotations

import pytest
import torch

from blender_addon.protocol.specs.job import ModelSpec, PromptSpec, SettingsSpec, ShapeSpec, TextureJobSpec
from pgc.runs.memory.plan import DeviceMemory
from server.recipes import planner_of
from server.recipes.imagining import volume_choices
from server.recipes.mesh_plans import as_planned

CARD = torch.device("cuda", 0)
GB = 10**9


def job(model: str) -> TextureJobSpec:
    return TextureJobSpec(
        meshes=(),
        prompt=PromptSpec(text="a red vase"),
        guidance=ModelSpec(model=model),
        settings=SettingsSpec(preset="standard"),
        maps=("shape",),
        shape=ShapeSpec(geometry="volume"),
    )


@pytest.mark.parametrize(("model", "free"), [("sd15", 4), ("sdxl", 12)])
def test_a_volume_finds_a_plan_for_a_small_card_and_a_large_one_needs_none(model: str, free: int):
    planner = planner_of(job(model), CARD)
    small = DeviceMemory(available=free * GB, total=free * GB, host=64 * GB)
    number = planner.choose(small)
    assert number > 0
    assert planner.estimate_bytes(number) <= small.available
    assert planner.choose(DeviceMemory(available=80 * GB, total=80 * GB, host=64 * GB)) == 0


def test_the_first_plan_is_what_was_asked_for_and_the_last_has_one_view():
    prior, settings = volume_choices(job("sdxl"))
    planner = planner_of(job("sdxl"), CARD)
    asked = as_planned(prior, settings, CARD, 0)
    assert asked[1] == settings
    assert not asked[2].view_by_view
    _, least, plan = as_planned(prior, settings, CARD, len(planner.plans) - 1)
    assert (least.optimize.views, plan.views) == (1, 1)
    # What a volume is made of stays.
    assert least.volume == settings.volume
