# SPDX-License-Identifier: Apache-2.0
"""Every combination of what a job may say of its method runs, or is refused in the job itself, by its field."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from itertools import combinations, product
from typing import Any, get_args, get_type_hints

import pytest
import torch

from blender_addon.protocol.arrays import ArrayRef, DType
from blender_addon.protocol.errors import FieldError
from blender_addon.protocol.specs.job import ModelSpec, SettingsSpec, TextureJobSpec
from blender_addon.protocol.specs.method import (
    ConditionsSpec,
    ControlSpec,
    DistillationSpec,
    ReferenceSpec,
    RegulationSpec,
)
from pgc.distillation.build import DistillationName
from pgc.distillation.noise.sources import NoiseName
from pgc.distillation.timestep import TimestepName
from pgc.distillation.weighting import WeightingName
from pgc.gradient_regulation.base import PixelNorm
from pgc.gradient_regulation.build import RegulationName
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.optimization.config import EncoderGradientName, LinearGradientConfig, OptimizeConfig
from server.recipes import prepare, resolved
from tests.pgc.guidance.conftest import write_pocket
from tests.server.jobs import Arrays


def words(spec: type[Any], name: str) -> tuple[str, ...]:
    return tuple(word for word in get_args(get_type_hints(spec)[name]) if isinstance(word, str))


PICTURE = ArrayRef("a" * 64, DType.U8, (8, 8, 3))
KINDS, SCHEDULES = words(DistillationSpec, "kind"), words(DistillationSpec, "timesteps")
NOISES, WEIGHTINGS = words(DistillationSpec, "noise"), words(DistillationSpec, "weighting")
REGULATIONS = words(RegulationSpec, "kind")


def test_the_protocol_has_the_librarys_names() -> None:
    assert set(KINDS) - {"preset"} == set(get_args(DistillationName))
    assert set(SCHEDULES) - {"preset"} == set(get_args(TimestepName))
    assert set(NOISES) - {"preset"} == set(get_args(NoiseName))
    assert set(WEIGHTINGS) - {"preset"} == set(get_args(WeightingName))
    assert set(words(DistillationSpec, "encoder_gradient")) - {"preset"} == set(get_args(EncoderGradientName))
    assert set(REGULATIONS) - {"preset"} == set(get_args(RegulationName))
    norms = get_args(get_type_hints(RegulationSpec)["norm"])[0]
    assert get_args(norms) == get_args(PixelNorm)


@pytest.fixture(scope="module")
def pocket(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The built-in model's like, of a size at which thirty runs take seconds; its folder is as the built-in one's."""
    folder = write_pocket(tmp_path_factory.mktemp("pocket"))
    return load_guidance(PocketSpec(source=str(folder)), torch.device("cpu"))


@pytest.fixture
def tiny(oracle_job: TextureJobSpec) -> TextureJobSpec:
    return replace(
        oracle_job, guidance=ModelSpec(), settings=SettingsSpec(steps=2, views=1, resolution=32, texture_size=32)
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rfds"])
def test_every_loss_runs_under_every_schedule(
    tiny: TextureJobSpec, arrays: Arrays, cpu: torch.device, pocket: Any, kind: Any
) -> None:
    # These two ask the prior up to eleven times a step, and take the timesteps as all others do.
    for timesteps in ("preset", "dreamtime") if kind in ("ism", "sdi") else SCHEDULES:
        steps = 2 if timesteps == "preset" else 1
        job = replace(tiny, settings=replace(tiny.settings, steps=steps))
        spec = replace(job, distillation=DistillationSpec(kind=kind, timesteps=timesteps))
        run = prepare(spec, arrays.read, cpu, lambda *_: pocket)
        results = list(run.optimization.steps())
        assert len(results) == run.optimization.config.warm_steps + steps
        assert all(bool(torch.isfinite(result.image).all()) for result in results)
        assert results[-1].gradient.median_before > 0.0, "the prior wants nothing: nothing is learnt"


def values(spec: type[Any]) -> list[dict[str, Any]]:
    """All ways to fill three fields of a spec, the first of them always: each word of each enumeration, and for a
    number one that is in range."""
    choices: list[list[Any]] = []
    for item in fields(spec):
        found = list(words(spec, item.name))
        inner = [word for part in get_args(get_type_hints(spec)[item.name]) for word in get_args(part)]
        number: list[Any] = [None, *inner] if inner else [None, 0.5]
        own = {
            "depth": [True, False],
            "controls": [(), (ControlSpec(kind="depth", scale=0.5),), (ControlSpec(kind="shuffle"),)],
            "reference": [None, ReferenceSpec(image=PICTURE), ReferenceSpec(image=PICTURE, scale=0.0)],
        }
        choices.append(found or own.get(item.name, number))
    names = [item.name for item in fields(spec)]
    rows: dict[tuple[Any, ...], None] = {}
    for kept in combinations(range(1, len(names)), min(2, len(names) - 1)):
        filled = [options if at in (0, *kept) else options[:1] for at, options in enumerate(choices)]
        rows.update(dict.fromkeys(product(*filled)))
    return [dict(zip(names, row, strict=True)) for row in rows]


def check_acts(row: dict[str, Any], found: OptimizeConfig) -> None:
    """What was asked for is what runs, and nothing is dropped."""
    loss, regulation = found.distillation, found.regulation
    if "timesteps" in row and row["kind"] != "preset":
        assert loss.kind == row["kind"]
    if row.get("guidance_rescale") is not None:
        assert loss.guidance_rescale == 0.5
    if row.get("encoder_gradient") == "linear":
        assert isinstance(found.encoder_gradient, LinearGradientConfig)
    if row.get("reference") is not None:
        assert found.likeness_scale == row["reference"].scale
    for name in ("noise", "weighting"):
        if row.get(name, "preset") != "preset":
            assert getattr(loss, name).kind == row[name]
    for name in ("threshold", "norm", "quantile"):
        if row.get(name) is not None:
            assert getattr(regulation, name) == row[name]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["pocket", "sd15", "sdxl"])
@pytest.mark.parametrize("place", ["distillation", "regulation", "conditions"])
def test_every_combination_resolves_or_names_its_field(tiny: TextureJobSpec, model: str, place: str) -> None:
    kind = {"distillation": DistillationSpec, "regulation": RegulationSpec, "conditions": ConditionsSpec}[place]
    refused: list[tuple[dict[str, Any], str]] = []
    taken = 0
    for row in values(kind):
        try:
            job = replace(tiny, guidance=ModelSpec(model=model), **{place: kind(**row)})
        except FieldError as error:
            refused.append((row, re.split(r"[.\[]", error.field.removeprefix(f"{place}."))[0]))
            continue
        taken += 1
        check_acts(row, resolved(job)[1].optimize)
    assert taken > 2
    assert refused
    lacks = {"reference": lambda row: any(one.kind == "shuffle" for one in row["controls"])}
    for row, name in refused:
        given = row[name] not in (None, "preset") or lacks.get(name, lambda row: False)(row)
        assert given, "refused by a field that was given, or that another one needs"


@pytest.mark.slow
@pytest.mark.parametrize("kind", REGULATIONS)
def test_every_regulation_runs(tiny: TextureJobSpec, arrays: Arrays, cpu: torch.device, pocket: Any, kind: Any) -> None:
    run = prepare(replace(tiny, regulation=RegulationSpec(kind=kind)), arrays.read, cpu, lambda *_: pocket)
    before = {name: value.clone() for name, value in run.optimization.state_dict()[0].items()}
    results = list(run.optimization.steps())
    after = run.optimization.state_dict()[0]
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert results[-1].gradient.pixels > 0


def test_what_the_oracle_cannot_serve_is_refused_in_the_job(oracle_job: TextureJobSpec) -> None:
    with pytest.raises(FieldError) as refusal:
        replace(oracle_job, distillation=DistillationSpec(kind="vsd"))
    assert refusal.value.field == "distillation.kind"
