# SPDX-License-Identifier: Apache-2.0
"""The evaluation of metal and gloss words, on materials whose means are known by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pgc.evaluation.cache import ResultCache
from pgc.evaluation.finishes.suite import (
    FINISH_PROMPTS,
    FinishSuite,
    finish_cases,
    finish_verdict,
    mean_over,
    summarize_finishes,
)
from pgc.evaluation.meshes import EVALUATION_MESHES
from pgc.mesh import PreparedMesh
from pgc.texture.field import BakedTexture

PROMPTS = {prompt.text: prompt for prompt in FINISH_PROMPTS}


class Painter:
    """Paints the whole mesh in one material, and counts."""

    def __init__(self, metallic: float, roughness: float) -> None:
        self.values = {"base_color": 0.4, "metallic": metallic, "roughness": roughness}
        self.calls = 0

    def __call__(self, mesh: PreparedMesh, text: str, seed: int) -> BakedTexture:
        self.calls += 1
        channels = {"base_color": 3, "metallic": 1, "roughness": 1}
        maps = {name: [torch.full((channels[name], 64, 64), value)] for name, value in self.values.items()}
        return BakedTexture(maps=maps, tiles=mesh.report.tiles)


def test_every_prompt_meets_every_mesh_once() -> None:
    cases = finish_cases()
    assert {(case.prompt.text, case.mesh) for case in cases} == {
        (text, mesh) for text in PROMPTS for mesh in EVALUATION_MESHES
    }
    assert len(cases) == 16
    assert len({case.seed for case in cases}) == 16
    assert {case.prompt.text for case in cases[:4]} == set(PROMPTS)
    assert {case.mesh for case in cases[:4]} == set(EVALUATION_MESHES)


@pytest.mark.parametrize(
    ("text", "metallic", "roughness", "right"),
    [
        ("polished gold", 0.9, 0.2, (True, True)),
        ("polished gold", 0.4, 0.6, (False, False)),
        ("matte blue plastic", 0.1, 0.8, (True, True)),
        ("matte blue plastic", 0.1, 0.4, (True, False)),
        ("wet cobblestone", 0.1, 0.3, (True, True)),
        ("rusty iron", 0.3, 0.8, (True, True)),
        ("rusty iron", 0.5, 0.5, (False, False)),
    ],
)
def test_halves(text: str, metallic: float, roughness: float, right: tuple[bool, bool]) -> None:
    assert tuple(finish_verdict(PROMPTS[text], metallic, roughness).values()) == right


def test_texels_count_by_their_surface() -> None:
    image = torch.tensor([[[1.0, 0.0], [0.5, 0.25]]])
    area = torch.tensor([[3.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    assert mean_over(image, area) == pytest.approx(0.75)


@pytest.mark.slow
def test_cases_are_scored_once_and_kept(tmp_path: Path) -> None:
    painter = Painter(0.9, 0.2)
    suite = FinishSuite(painter, ResultCache(tmp_path, {"test": 1}), view_size=48)
    cases = [case for case in finish_cases() if case.mesh == "star"]
    rows = [suite.score(case) for case in cases]
    assert painter.calls == 4
    for row in rows:
        assert row["means"]["metallic"] == pytest.approx(0.9, abs=1e-5)
        assert row["means"]["roughness"] == pytest.approx(0.2, abs=1e-5)
        assert row["base_color"] == pytest.approx([0.4] * 3, abs=1e-5)
    assert [suite.score(case) for case in cases] == rows
    assert painter.calls == 4
    assert len(list(suite.cache.folder.glob("*.webp"))) == 4
    assert len(list(suite.cache.folder.glob("*/textured.glb"))) == 4
    summary = summarize_finishes(rows)
    assert {text: entry["right"] for text, entry in summary.items()} == {
        "polished gold": 1, "rusty iron": 0, "matte blue plastic": 0, "wet cobblestone": 0,
    }  # fmt: skip
