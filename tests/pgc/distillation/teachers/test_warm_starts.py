# SPDX-License-Identifier: Apache-2.0
"""Each teacher paints a warm start, and its run goes on from there: what runs of base colour alone do by themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import trimesh

from pgc.guidance.base import Guidance
from pgc.guidance.specs import FluxSpec, GuidanceSpec, SD3Spec, SDXLSpec, StableDiffusionSpec, ZImageSpec
from pgc.optimization.config import Prompt
from pgc.runs.prepared import start_optimization
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import resolve
from tests.pgc.guidance.flow_models import FLOWS
from tests.pgc.optimization.warm_start.shapes import prepared

SPECS: dict[str, GuidanceSpec] = {
    "sd15": StableDiffusionSpec(),
    "sd21": StableDiffusionSpec(family="sd2"),
    "sdxl": SDXLSpec(),
    "sd3": SD3Spec(),
    "flux": FluxSpec(),
    "flux_dev": FluxSpec(),
    "z_image": ZImageSpec(),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) for name in ("sd15", "sd21", "sdxl", *FLOWS)]
)
def test_a_teacher_paints_all_round_and_refines(
    name: str, teachers: dict[str, Guidance], flows: dict[str, Guidance]
) -> None:
    guidance = {**teachers, **flows}[name]
    choices = RunChoices(steps=2, views=2, resolution=32, texture_size=32)
    _, settings = resolve(choices, SPECS[name])
    assert settings.optimize.warm_start is not None
    warm = replace(settings.optimize.warm_start, views=4, steps=2)
    settings = replace(settings, optimize=replace(settings.optimize, warm_start=warm))
    run = start_optimization(
        prepared(trimesh.creation.icosphere(subdivisions=1, radius=0.7)), Prompt(text="a red vase"), settings, guidance
    )
    gray = run.scene.texture.bake().maps["base_color"][0]
    first = run.advance()
    painted = run.scene.texture.bake().maps["base_color"][0]
    assert bool(torch.isfinite(painted).all())
    assert float((painted - gray).abs().mean()) > 0.01
    assert first.gradient is None
    results = list(run.steps())
    assert [result.step for result in results] == [2, 3, 4]
    final = run.scene.texture.bake().maps["base_color"][0]
    assert bool(torch.isfinite(final).all())
    assert not torch.equal(final, painted)
