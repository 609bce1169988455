# SPDX-License-Identifier: Apache-2.0
"""The prompt evaluation with a prior and a judge whose answers are known."""

from __future__ import annotations

import colorsys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pgc.errors import ConfigError
from pgc.evaluation.cache import ResultCache
from pgc.evaluation.judge.judge import Judge, JudgeNetwork
from pgc.evaluation.prompts.prior_samples import SamplingConfig
from pgc.evaluation.prompts.prompts import PromptCase, load_prompts
from pgc.evaluation.prompts.run import select_cases
from pgc.evaluation.prompts.suite import PromptSuite, PromptSuiteConfig, summarize
from pgc.guidance.base import Conditions, NoisePrediction
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.mesh import PreparedMesh
from pgc.pocket.data.materials import COLORS, MATERIALS
from pgc.texture.field import BakedTexture

CASE = PromptCase(index=3, prompt="a blue plain object", color="blue", material="plain", mesh="trefoil", seed=5)
BLUE = torch.tensor([0.05, 0.2, 0.9])


class _HueJudge(JudgeNetwork):
    """Red or blue by the mean colour of the object; always "plain"."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = (x[:, :3] * x[:, 3:]).sum(dim=(2, 3))
        color = torch.full((len(x), len(COLORS)), -9.0)
        color[:, COLORS.index("red")], color[:, COLORS.index("blue")] = mean[:, 0], mean[:, 2] + 1e-3
        material = torch.full((len(x), len(MATERIALS)), -9.0)
        material[:, MATERIALS.index("plain")] = 0.0
        return color, material


class _BluePrior(OracleGuidance):
    """Knows one picture: blue all over."""

    def predict_noise(
        self, noisy_latents: torch.Tensor, timestep: torch.Tensor, conditions: Conditions
    ) -> NoisePrediction:
        assert conditions.depth is not None
        assert conditions.mask is not None
        assert bool((conditions.depth[conditions.mask] > 1.0).all())
        picture = BLUE.view(1, 3, 1, 1).expand_as(conditions.depth.expand(-1, 3, -1, -1))
        return super().predict_noise(noisy_latents, timestep, replace(conditions, truth_image=picture))


def _suite(tmp_path: Path, calls: list[tuple[str, int]]) -> PromptSuite:
    def texturize(mesh: PreparedMesh, text: str, seed: int) -> BakedTexture:
        calls.append((text, seed))
        return BakedTexture(maps={"base_color": [BLUE.view(3, 1, 1).expand(3, 16, 16).contiguous()]})

    config = PromptSuiteConfig(view_size=64, truth_size=64, sampling=SamplingConfig(steps=2))
    prior = _BluePrior(OracleConfig(image_size=48), torch.device("cpu"))
    return PromptSuite(config, Judge(_HueJudge(), COLORS, MATERIALS), prior, texturize, ResultCache(tmp_path, {}))


@pytest.mark.slow
def test_every_kind_of_picture_is_judged_once_and_then_remembered(tmp_path: Path) -> None:
    calls: list[tuple[str, int]] = []
    suite = _suite(tmp_path, calls)
    texture, sample = suite.score("texture", CASE), suite.score("sample", CASE)
    assert (texture["verdict"]["color"], texture["verdict"]["material"]) == ("blue", "plain")
    assert (sample["verdict"]["color"], sample["verdict"]["material"]) == ("blue", "plain")
    assert len(texture["verdict"]["view_colors"]) == 6
    assert max(texture["speckle"].values()) < 1e-4
    truth, untrained = suite.score("truth", CASE), suite.score("untrained", CASE)
    assert truth["verdict"]["color"] == "blue"
    # Gray is neither: this judge then says blue by a hair, in every view.
    assert set(untrained["verdict"]["view_colors"]) == {"blue"}
    assert calls == [(CASE.prompt, CASE.seed)]
    again = _suite(tmp_path, calls).score("texture", CASE)
    assert calls == [(CASE.prompt, CASE.seed)], "a part that was there has been made again"
    assert again["seconds"] == texture["seconds"]
    assert (suite.cache.folder / "003-texture.webp").is_file()


def _row(color: str, said: str, index: int = 0) -> dict[str, Any]:
    return {
        "case": {"index": index, "prompt": "", "color": color, "material": "wood", "mesh": "star", "seed": 0},
        "verdict": {
            "color": said, "material": "wood", "view_colors": [said, said], "view_materials": ["wood", "rust"],
            "color_confidence": 1.0, "material_confidence": 1.0,
        },
        "speckle": {"1": 0.01 * (index + 1)},
        "seconds": 1.0 + index,
    }  # fmt: skip


def test_summary_counts_by_hand() -> None:
    judge = Judge(_HueJudge(), COLORS, MATERIALS)
    summary = summarize({"texture": [_row("red", "red", 0), _row("red", "blue", 1), _row("blue", "blue", 2)]}, judge)
    color, material = summary["texture"]["color"], summary["texture"]["material"]
    assert (color["accuracy"]["successes"], color["accuracy"]["trials"]) == (2, 3)
    assert color["single_view_share"] == pytest.approx(2 / 3)
    assert material["accuracy"]["share"] == 1.0
    assert material["single_view_share"] == 0.5
    assert color["confusion"][COLORS.index("red")][COLORS.index("blue")] == 1
    assert [failure["index"] for failure in summary["texture"]["failures"]] == [1]
    assert summary["texture"]["speckle_median"]["1"] == pytest.approx(0.02)
    assert summary["texture"]["seconds_median"] == 2.0
    assert color["by_mesh"]["star"]["trials"] == 3


def test_a_slice_is_even_over_meshes_and_varied_in_colour() -> None:
    cases = load_prompts()
    chosen = select_cases(cases, 8)
    assert len({case.index for case in chosen}) == 8
    assert all(sum(case.mesh == mesh for case in chosen) == 2 for mesh in {case.mesh for case in cases})
    assert len({case.color for case in chosen}) >= 6
    assert select_cases(cases, None) == select_cases(cases, 1000) == cases


def test_tiny_views_are_refused() -> None:
    with pytest.raises(ConfigError, match="view_size"):
        PromptSuiteConfig(view_size=16)


def test_the_hue_judge_of_these_tests_can_tell_red() -> None:
    red = torch.tensor(colorsys.hsv_to_rgb(0.0, 0.9, 0.9)).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    color, _ = _HueJudge()(torch.cat([red, torch.ones(1, 1, 8, 8)], dim=1))
    assert COLORS[int(color.argmax())] == "red"
