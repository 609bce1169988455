# SPDX-License-Identifier: Apache-2.0
"""The sweep of methods: what it draws, that it goes on where it was, and that its rows say what was done."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from pgc.demo.config import DemoConfig
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.sds import SDSConfig
from pgc.errors import ConfigError
from pgc.evaluation.judge.judge import load_judge
from pgc.evaluation.meshes import EVALUATION_MESHES, evaluation_mesh, judge_meshes
from pgc.evaluation.methods.config import TUNING_MESHES, TUNING_SEED, Method, TuningCase, clipping_methods, tuning_cases
from pgc.evaluation.methods.run import MethodRunRequest, run_methods
from pgc.evaluation.methods.suite import judged
from pgc.evaluation.prompts.prompts import load_prompts
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClippingConfig
from pgc.guidance.specs import PocketSpec
from pgc.optimization.config import OptimizeConfig
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import preset_settings

BASE = preset_settings("standard", PocketSpec()).optimize


@pytest.mark.slow
def test_cases_are_fixed_by_their_seed_and_share_neither_seeds_nor_meshes_with_the_final_list() -> None:
    cases = tuning_cases(8)
    assert cases == tuning_cases(12)[:8]
    assert len({(case.color, case.material) for case in cases}) == 8
    assert {case.mesh for case in cases} == {0, 1, 2, 3}
    assert not {case.seed for case in cases} & {case.seed for case in load_prompts()}
    final = {evaluation_mesh(name).positions.tobytes() for name in EVALUATION_MESHES}
    assert not {mesh.positions.tobytes() for mesh in judge_meshes(TUNING_MESHES, TUNING_SEED)} & final
    with pytest.raises(ConfigError, match="Got 0 cases"):
        tuning_cases(0)


def test_the_sweep_has_each_setting_once_and_by_a_name_of_its_own() -> None:
    methods = {method.name: method.optimize for method in clipping_methods(BASE, quick=False)}
    assert len(methods) == 6 * 3 * 3 + 2 * 3
    assert len({json.dumps(asdict(one), sort_keys=True, default=str) for one in methods.values()}) == len(methods)
    one = methods["c0.1-l1-e0.01"]
    assert one.regulation == PixelwiseClippingConfig(threshold=0.1)
    assert isinstance(one.distillation, HiFAConfig)
    assert (one.distillation.latent_weight, one.epsilon) == (1.0, 0.01)
    quick = {method.name for method in clipping_methods(BASE, quick=True)}
    assert quick < methods.keys()


def test_guards() -> None:
    with pytest.raises(ConfigError, match="The sweep of clipping is for HiFA; the preset has SDSConfig"):
        clipping_methods(replace(BASE, updates=1, distillation=SDSConfig()), quick=True)
    with pytest.raises(ConfigError, match="must consist of letters"):
        Method(name="../x", optimize=OptimizeConfig())
    with pytest.raises(ConfigError, match="There is no method c9; the sweep has cnone-l0"):
        run_methods(MethodRunRequest(work=Path(), out=None, quick=True, only=("c9",)), lambda text: None)


def test_the_judge_is_asked_for_what_the_prompt_names() -> None:
    judge = load_judge()
    image, mask = torch.full((2, 3, 64, 64), 0.5), torch.ones(2, 1, 64, 64, dtype=torch.bool)
    sums = {"color": 0.0, "material": 0.0}
    for color, material in zip(judge.colors, judge.materials, strict=False):
        case = TuningCase(index=0, prompt="x", color=color, material=material, mesh=0, seed=0)  # type: ignore[arg-type]
        for name, value in judged(judge, image, mask, case).items():
            sums[name] += value
    assert sums["color"] == pytest.approx(1.0, abs=1e-4), "over all colours"
    assert 0.0 < sums["material"] <= 1.0 + 1e-4


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_of_two_methods_is_kept_and_says_what_was_clipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = DemoConfig(choices=RunChoices(maps=("base_color",), texture_size=64, warm_start=False))
    monkeypatch.setattr("pgc.evaluation.methods.suite.DemoConfig", lambda: small)
    said: list[str] = []
    request = MethodRunRequest(
        work=tmp_path, out=tmp_path / "out.json", quick=True, cases=1, steps=1, only=("cnone-l0-e0.03", "c0.1-l1-e0.03")
    )
    found = run_methods(request, said.append)
    assert said[0].startswith("2 methods on 1 cases: 2 runs, 0 done before")
    plain, clipped = found["rows"]
    assert plain["regulation"]["method"] == {"type": "UnregulatedConfig"}
    assert plain["regulation"]["gradients"] == ["residual in the image"]
    assert plain["regulation"]["clipped_fraction"] == 0.0
    assert clipped["regulation"]["gradients"] == ["through the encoder", "residual in the image"]
    assert 0.0 < clipped["regulation"]["clipped_fraction"] <= 1.0
    assert clipped["regulation"]["tail_after"] <= 0.1 + 1e-6 < clipped["regulation"]["tail_before"]
    assert plain["sha256"] != clipped["sha256"]
    again = run_methods(request, said.append)
    assert again["rows"] == found["rows"], "from the cache"
    assert json.loads((tmp_path / "out.json").read_text())["methods"]["c0.1-l1-e0.03"]["n"] == 1
