# SPDX-License-Identifier: Apache-2.0
"""The sweep of the threshold: which runs there are, what chooses an epsilon, and what a shared warm start is worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pgc.demo.config import DemoConfig
from pgc.distillation.sds import SDSConfig
from pgc.errors import ConfigError
from pgc.evaluation.cache import ResultCache
from pgc.evaluation.measures.scores import sha256_of_maps
from pgc.evaluation.meshes import judge_meshes
from pgc.evaluation.methods.config import TUNING_MESHES, TUNING_SEED
from pgc.evaluation.methods.suite import MethodSuite
from pgc.evaluation.methods.sweep import Pair, SweepConfig, best_epsilon, run_sweep, summary_of
from pgc.gradient_regulation.unregulated import UnregulatedConfig
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.mesh import prepare_mesh
from pgc.optimization.config import Prompt
from pgc.runs.prepared import start_optimization
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import preset_settings

PAIR = Pair(threshold=0.1, weight=1.0)


def test_the_grid_is_the_one_that_was_asked_for_and_scores_nothing_that_tuned() -> None:
    config = SweepConfig()
    assert {(pair.threshold, pair.weight) for pair in config.pairs()} == {
        (c, weight) for c in (0.02, 0.05, 0.1, 0.3, 1.0, None) for weight in (0.0, 1.0)
    }
    assert [pair.name for pair in config.scored_pairs()] == [
        f"c{c}-l{weight}" for weight in (0, 1) for c in ("none", "0.3", "0.02")
    ], "first what the differences are to"
    scored = config.scored()
    assert len({case.prompt for case in scored}) == 2
    assert len({case.seed for case in scored}) == len(scored) == 6
    assert len({case.index for case in (*scored, *config.tuning())}) == 7, "names of files"
    tuned = {(case.prompt, case.seed) for case in config.tuning()}
    assert not tuned & {(case.prompt, case.seed) for case in scored}


def test_an_epsilon_is_chosen_by_both_of_the_judges_probabilities() -> None:
    rows = {
        0.01: [{"color": 0.9, "material": 0.2}],
        0.03: [{"color": 0.5, "material": 0.7}],
        0.09: [{"color": 0.7, "material": 0.5}],
    }
    assert best_epsilon(PAIR, rows, preset=0.03) == 0.03, "of equals the preset's"
    assert best_epsilon(PAIR, rows, preset=0.09) == 0.09
    rows[0.01][0]["material"] = 0.4
    assert best_epsilon(PAIR, rows, preset=0.03) == 0.01
    with pytest.raises(ConfigError, match=r"choose an epsilon for c0.1-l1"):
        best_epsilon(PAIR, {0.03: []}, preset=0.03)


def test_a_pair_changes_three_settings_and_is_for_hifa_alone() -> None:
    base = preset_settings("standard", PocketSpec()).optimize
    none = Pair(threshold=None, weight=0.0).method(base, 0.09)
    assert none.optimize == replace(base, regulation=UnregulatedConfig(), epsilon=0.09)
    assert none.name == "cnone-l0-e0.09"
    with pytest.raises(ConfigError, match="the preset has SDSConfig"):
        PAIR.method(replace(base, updates=1, distillation=SDSConfig()), 0.03)


def test_differences_are_taken_case_by_case() -> None:
    regulation = {"clipped_fraction": 0.5, "median_before": 0.2, "tail_before": 1.0, "tail_after": 0.1}

    def rows(*materials: float) -> list[dict[str, Any]]:
        return [{"color": 0.5, "material": one, "speckle": 0.0, "regulation": regulation} for one in materials]

    found = summary_of(rows(0.1, 0.9), rows(0.2, 1.0))
    less = found["less_reference"]["material"]
    assert less["mean"] == pytest.approx(-0.1)
    assert less["high"] - less["low"] == pytest.approx(0.0, abs=1e-9), "the spread over cases is not in it"
    assert found["material"]["high"] - found["material"]["low"] > 0.5


@pytest.mark.slow
def test_both_stages_run_once_and_a_shared_warm_start_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SweepConfig(
        thresholds=(0.1,),
        finalists=(0.1,),
        weights=(1.0,),
        epsilons=(0.03, 0.09),
        tuned_on=1,
        scored_on=1,
        seeds=1,
        steps=1,
    )
    spec, settings = DemoConfig(choices=RunChoices(maps=("base_color",), texture_size=64)).resolved()
    assert settings.optimize.warm_start is not None
    short = replace(settings.optimize.warm_start, views=2, steps=1)
    settings = replace(settings, optimize=replace(settings.optimize, resolution=64, warm_start=short))
    monkeypatch.setattr(DemoConfig, "resolved", lambda _self: (spec, settings))
    said: list[str] = []
    found = run_sweep(config, tmp_path, tmp_path / "out.json", said.append)
    assert found["pairs"]["c0.1-l1"]["n"] == 1
    assert found["pairs"]["c0.1-l1"]["less_reference"]["material"]["mean"] == 0.0, "it is the first itself"
    assert sum("colour" in text for text in said) == 3

    [case], base = config.tuning(), replace(settings.optimize, steps=1)
    method = PAIR.method(base, 0.09)
    shared = ResultCache(tmp_path, found["configuration"]).get(MethodSuite.part(method, case))
    assert shared is not None, "kept; the second of its case, begun as the first was"
    guidance = load_guidance(spec, torch.device("cpu"))
    mesh = prepare_mesh(judge_meshes(TUNING_MESHES, TUNING_SEED)[case.mesh])
    alone = start_optimization(
        mesh,
        Prompt(text=case.prompt),
        replace(settings, optimize=replace(method.optimize, seed=case.seed)),
        guidance,
    )
    for _ in alone.steps():
        pass
    assert sha256_of_maps(alone.scene.texture.bake().maps) == shared["sha256"]
