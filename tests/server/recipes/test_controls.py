# SPDX-License-Identifier: Apache-2.0
"""What a model is shown, over the wire as on the command line; and what a job may not ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from blender_addon.protocol.errors import FieldError
from blender_addon.protocol.specs.job import ModelSpec, TextureJobSpec
from blender_addon.protocol.specs.method import ConditionsSpec, ControlSpec, DistillationSpec
from blender_addon.protocol.structure import from_wire, to_wire
from pgc.guidance.specs import parse_guidance
from pgc.remote.job import _controls
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import resolve
from server.recipes import resolved


def model_of(job: TextureJobSpec, model: str, **more: Any) -> TextureJobSpec:
    return replace(job, guidance=ModelSpec(model=model), **more)


def test_controls_are_the_same_over_the_wire(oracle_job: TextureJobSpec) -> None:
    choices = RunChoices(controls=("depth=0.8", "normal=0.3@0-0.6", "edges=0.5@t0.2-1"))
    conditions = ConditionsSpec(controls=_controls(choices))
    again = from_wire(ConditionsSpec, to_wire(conditions))
    assert again == conditions
    assert resolved(model_of(oracle_job, "sd15", conditions=again))[0] == resolve(choices, parse_guidance("sd15"))[0]


def test_a_job_without_controls_is_spelled_as_before() -> None:
    assert "controls" not in to_wire(ConditionsSpec())


@pytest.mark.parametrize(
    ("model", "kind"),
    [("pocket", "normal"), ("sd21", "tile"), ("sdxl", "normal"), ("sd35", "depth"), ("flux", "edges")],
)
def test_what_a_model_cannot_be_shown_is_refused_in_the_job(oracle_job: TextureJobSpec, model: str, kind: Any) -> None:
    conditions = ConditionsSpec(controls=(ControlSpec(kind=kind),))
    with pytest.raises(FieldError) as refusal:
        model_of(oracle_job, model, conditions=conditions)
    assert refusal.value.field == "conditions.controls[0].kind"


def test_what_contradicts_itself_is_refused() -> None:
    depth = ControlSpec(kind="depth")
    for wrong in ({"depth_scale": 0.5}, {"depth": False}):
        with pytest.raises(FieldError, match="said twice"):
            ConditionsSpec(controls=(depth,), **wrong)
    with pytest.raises(FieldError, match="each kind once"):
        ConditionsSpec(controls=(depth, ControlSpec(kind="depth-official")))
    for wrong in ({"scale": 3.0}, {"start": 0.7, "end": 0.2}, {"end": 1.5}):
        with pytest.raises(FieldError):
            ControlSpec(kind="depth", **wrong)


def test_flow_models_have_their_loss_and_no_depth(oracle_job: TextureJobSpec) -> None:
    rfds = DistillationSpec(kind="rfds")
    for model in ("sd35", "flux", "z-image"):
        assert resolved(model_of(oracle_job, model, distillation=rfds))[1].optimize.distillation.kind == "rfds"
        assert resolved(model_of(oracle_job, model))[1].optimize.distillation.kind == "rfds"
        with pytest.raises(FieldError) as refusal:
            model_of(oracle_job, model, conditions=ConditionsSpec(depth_scale=0.5))
        assert refusal.value.field == "conditions.depth_scale"
    for model in ("pocket", "sd15", "sdxl"):
        with pytest.raises(FieldError) as refusal:
            model_of(oracle_job, model, distillation=rfds)
        assert refusal.value.field == "distillation.kind"
