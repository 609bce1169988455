# SPDX-License-Identifier: Apache-2.0
"""What a model is shown, over the wire as on the command line; and what a job may not ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from blender_addon.protocol.arrays import ArrayRef, DType
from blender_addon.protocol.errors import FieldError
from blender_addon.protocol.job_size import size_of
from blender_addon.protocol.specs.job import ModelSpec, TextureJobSpec
from blender_addon.protocol.specs.method import ConditionsSpec, ControlSpec, DistillationSpec, ReferenceSpec
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


def test_a_reference_is_the_same_over_the_wire_and_counts_among_the_arrays(oracle_job: TextureJobSpec) -> None:
    reference = ReferenceSpec(image=ArrayRef("a" * 64, DType.U8, (5, 1, 4)), scale=0.25)
    conditions = ConditionsSpec(reference=reference)
    assert from_wire(ConditionsSpec, to_wire(conditions)) == conditions
    assert "reference" not in to_wire(ConditionsSpec())
    job = replace(oracle_job, conditions=conditions)
    assert job.refs()["conditions.reference.image"] == reference.image
    assert size_of(job).bytes == size_of(oracle_job).bytes + 20


@pytest.mark.parametrize(
    ("image", "scale", "field"),
    [
        ((DType.U8, (8, 8)), 0.5, "image"),
        ((DType.U8, (8, 8, 1)), 0.5, "image"),
        ((DType.F32, (8, 8, 3)), 0.5, "image"),
        ((DType.U8, (8193, 8, 3)), 0.5, "image"),
        ((DType.U8, (0, 8, 3)), 0.5, "image"),
        ((DType.U8, (8, 8, 3)), 2.5, "scale"),
        ((DType.U8, (8, 8, 3)), -0.5, "scale"),
    ],
)
def test_what_is_no_reference_is_refused_by_its_field(image: Any, scale: float, field: str) -> None:
    with pytest.raises(FieldError) as refusal:
        ReferenceSpec(image=ArrayRef("a" * 64, *image), scale=scale)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("model", "more", "field"),
    [
        ("sd15", {"maps": ("base_color", "roughness")}, "conditions.reference.scale"),
        ("pocket", {"maps": ("normal",)}, "conditions.reference.scale"),
        ("sdxl", {"shuffle": True}, "conditions.controls[0].kind"),
        ("pocket", {"shuffle": True}, "conditions.controls[0].kind"),
        ("flux", {"shuffle": True}, "conditions.controls[0].kind"),
    ],
)
def test_a_reference_that_a_job_cannot_use_is_refused_there(
    oracle_job: TextureJobSpec, model: str, more: dict[str, Any], field: str
) -> None:
    controls = (ControlSpec(kind="shuffle"),) if more.pop("shuffle", False) else ()
    reference = ReferenceSpec(image=ArrayRef("a" * 64, DType.U8, (8, 8, 3)))
    with pytest.raises(FieldError) as refusal:
        model_of(oracle_job, model, conditions=ConditionsSpec(reference=reference, controls=controls), **more)
    assert refusal.value.field == field


def test_new_uvs_need_no_reference_and_no_colours(oracle_job: TextureJobSpec) -> None:
    (mesh,) = oracle_job.meshes
    bare = replace(mesh, corner_uvs=None)
    job = TextureJobSpec(meshes=(bare,), prompt=oracle_job.prompt, maps=("corner_uvs",))
    reference = ReferenceSpec(image=ArrayRef("a" * 64, DType.U8, (8, 8, 3)))
    colors = ArrayRef("a" * 64, DType.F32, (*mesh.faces.shape, 3))
    for more, field in (
        ({"conditions": ConditionsSpec(reference=reference)}, "conditions.reference"),
        ({"meshes": (replace(bare, corner_colors=colors),)}, "meshes[0].corner_colors"),
    ):
        with pytest.raises(FieldError) as refusal:
            replace(job, **more)
        assert refusal.value.field == field


def test_colours_and_an_initial_texture_are_two_starts(oracle_job: TextureJobSpec) -> None:
    (mesh,) = oracle_job.meshes
    colored = replace(mesh, corner_colors=ArrayRef("a" * 64, DType.F32, (*mesh.faces.shape, 3)))
    half = replace(oracle_job.settings, strength=0.5)
    assert replace(oracle_job, meshes=(colored,), settings=half).settings.strength == 0.5
    with pytest.raises(FieldError) as refusal:
        replace(oracle_job, meshes=(colored,), initial_texture=oracle_job.guidance.oracle_texture)
    assert refusal.value.field == "meshes[0].corner_colors"
    assert "corner_colors" not in to_wire(mesh)


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
