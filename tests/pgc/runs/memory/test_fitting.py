# SPDX-License-Identifier: Apache-2.0
"""Runs of shapes and volumes by the plan that fits a simulated card, and with less where memory ends all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pgc.errors import ConfigError
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.memory.savings import MemorySavings
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.optimization.config import OptimizeConfig
from pgc.runs.memory import fitting
from pgc.runs.memory.fitting import Attempt, until_it_fits
from pgc.runs.memory.needs import SubjectNeeds
from pgc.runs.memory.plan import DeviceMemory, SubjectPlanner
from pgc.shape.geometry.dmtet import DMTetConfig
from pgc.shape.memory import shape_needs
from pgc.shape.papers import SHAPE_PAPERS
from pgc.shape.picture import DEFAULT_GEOMETRY, picture_settings
from pgc.shape.settings import geometry_named, shape_settings
from pgc.volume.memory import volume_needs
from pgc.volume.settings import volume_settings

GB = 10**9
CARD = torch.device("cuda", 0)


def planner(spec, subject: SubjectNeeds) -> SubjectPlanner:
    return SubjectPlanner(spec=spec, subject=subject, device=CARD)


SD = shape_settings("both", geometry_named("offsets"), StableDiffusionSpec())
SHAPES = planner(StableDiffusionSpec(), shape_needs(SD))
VOLUMES = planner(StableDiffusionSpec(), volume_needs(volume_settings(StableDiffusionSpec(), "")))


@pytest.mark.parametrize("which", [SHAPES, VOLUMES, replace(SHAPES, spec=OracleSpec())])
def test_each_plan_needs_less_than_the_one_before(which: SubjectPlanner) -> None:
    needs = [which.estimate_bytes(number) for number in range(len(which.plans))]
    assert len(needs) > 1
    assert needs == sorted(set(needs), reverse=True)


def test_needs_are_the_sum_of_what_was_counted() -> None:
    # .4 for the driver, .07 of views, .05 of the mesh, 2.61 of weights, and 4 views of .69 / 4, .505 and 2 x .087.
    assert SHAPES.estimate_bytes(0) / GB == pytest.approx(6.54, abs=0.01)
    paper = SHAPE_PAPERS["pgc3d/normal-sds"].settings
    sdxl = planner(SDXLSpec(), shape_needs(paper)).estimate_bytes(0) / GB
    # As a texture's 19.1 without its texels, with a grid of 96 cubes, and four views of .56 in place of .135.
    assert sdxl == pytest.approx(19.13 - 0.43 + 0.05 + 0.44 + 4 * (0.56 - 0.135), abs=0.05)
    # Rays' graph: 4,096 pixels of 52 looks of 2.4 KB; 16 levels of parameters, four times.
    volume = VOLUMES.subject
    assert volume.held * (64 / 1024) ** 2 == pytest.approx(0.51, abs=0.02)
    assert volume.fixed == pytest.approx(4 * 0.0486, abs=0.002)


def test_grids_pictures_and_what_is_decoded_count() -> None:
    grid = shape_needs(replace(SD, geometry=DMTetConfig(cubes=96)))
    assert grid.fixed > shape_needs(SD).fixed + 0.4
    assert "--cubes" in grid.smaller
    assert [shape_needs(replace(SD, shown=shown)).pictures for shown in (("rgb",), ("normal", "rgb"))] == [1, 2]
    assert volume_needs(volume_settings(PocketSpec(), "a vase")).decodes
    assert not VOLUMES.subject.decodes
    assert replace(SHAPES, subject=replace(SHAPES.subject, pictures=1)).expected_seconds(
        0, "RTX 4090"
    ) == pytest.approx((SHAPES.expected_seconds(0, "RTX 4090") or 0.0) / 2)


def test_a_zero123_is_planned_without_weights_in_main_memory() -> None:
    which = planner(Zero123Spec(), shape_needs(picture_settings(DEFAULT_GEOMETRY, Zero123Spec())))
    assert not any(plan.streamed for plan in which.plans)
    run = which.planned(1)
    assert run.plan.view_by_view
    assert run.spec == Zero123Spec(run=LatentDiffusionConfig(memory=MemorySavings(rows=run.plan.rows)))
    assert 2.0 < which.estimate_bytes(0) / GB < 4.5


def test_the_plan_is_chosen_and_said_before_the_start(monkeypatch) -> None:
    memory = DeviceMemory(available=4 * GB, total=8 * GB, host=32 * GB)
    monkeypatch.setattr(fitting, "device_memory", lambda device: memory)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA GeForce RTX 4090")
    notes: list[str] = []
    views = until_it_fits(SHAPES, lambda attempt: (attempt.number, attempt.run.plan, attempt.notes), notes.append)
    number, plan, told = views
    assert number > 0
    assert plan.view_by_view
    assert told == tuple(notes)
    assert "where 4.0 GB are free: the job goes on with" in notes[0]
    assert notes[1].startswith("Fits this graphics card (")
    assert "by computation" in notes[1]
    # A run that goes on has said why it has less.
    again: list[str] = []
    until_it_fits(SHAPES, lambda attempt: None, again.append, least=number)
    assert [note.startswith("Fits") for note in again] == [True]


def test_a_card_that_is_too_small_is_refused_before_anything_is_loaded(monkeypatch) -> None:
    small = DeviceMemory(available=GB, total=2 * GB, host=GB)
    monkeypatch.setattr(fitting, "device_memory", lambda device: small)

    def never(attempt: Attempt) -> None:
        raise AssertionError

    with pytest.raises(ConfigError, match=r"even with one small view.* or ask for smaller pictures \(--resolution\)"):
        until_it_fits(SHAPES, never, lambda note: None)


def test_memory_that_ends_costs_views_and_what_was_reached_is_taken_up() -> None:
    class Steps:
        config = OptimizeConfig()

        def __init__(self) -> None:
            self.step = 0

        def state_dict(self):
            return {"at": torch.tensor(float(self.step))}, {"step": self.step}

        def load_state_dict(self, tensors, header) -> None:
            assert header["config"] == self.config.fingerprint()
            self.step = header["step"]

        def encode_view_by_view(self) -> None: ...

    seen: list[tuple[int, int]] = []

    def attempt(this: Attempt) -> str:
        loop = Steps()
        this.begin(loop, None)
        seen.append((this.number, loop.step))
        while loop.step < 3:
            if loop.step == 2 and this.run.optimize.views > 1:
                raise torch.OutOfMemoryError
            loop.step += 1
        return this.notes[-1]

    on_cpu = replace(SHAPES, spec=OracleSpec(), device=torch.device("cpu"))
    notes: list[str] = []
    said = until_it_fits(on_cpu, attempt, notes.append)
    assert [step for _, step in seen] == [0, *[2] * (len(seen) - 1)]
    assert said == notes[-1]
    assert notes[0].startswith("This machine ran out of memory: the job goes on with 2 instead of 4 views")

    def always(this: Attempt) -> None:
        raise RuntimeError("CUDA error: out of memory")

    with pytest.raises(ConfigError, match=r"not enough memory for this run.*Close other programs, or ask for smaller"):
        until_it_fits(on_cpu, always, notes.append)

    def broken(this: Attempt) -> None:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        until_it_fits(on_cpu, broken, notes.append)
