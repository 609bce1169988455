# SPDX-License-Identifier: Apache-2.0
"""What is repainted, and how the answers are counted."""

from __future__ import annotations

import numpy as np
import pytest

from pgc.evaluation.materials.judge import texel_area
from pgc.evaluation.meshes import evaluation_mesh
from pgc.evaluation.pictures import MeshViews
from pgc.evaluation.prompts.prompts import load_prompts
from pgc.mesh import prepare_mesh
from tests.benchmarks.quality_tables import repaint
from tests.benchmarks.repaint_prompts import SHARE, old_of, region, shown, summary


def test_what_is_there_is_another_colour_and_another_material() -> None:
    cases = load_prompts()
    for index, case in enumerate(cases):
        old = old_of(cases, index)
        assert old.color != case.color
        assert old.material != case.material


@pytest.mark.slow
def test_the_region_has_its_share_of_the_surface_and_is_seen() -> None:
    mesh = prepare_mesh(evaluation_mesh("star"))
    one, other = region(mesh, 128, 1), region(mesh, 128, 2)
    area = texel_area(mesh.triangles, 128).numpy()
    for chosen in (one, other):
        assert area[chosen].sum() / area.sum() == pytest.approx(SHARE, abs=0.02)
    assert (one != other).any()
    views = MeshViews(mesh.triangles, 64)
    seen, enough = shown(views, one)
    assert enough.any()
    assert not (seen & ~views.mask).any()
    everything = shown(views, np.ones_like(one))[0]
    assert (everything == views.mask).float().mean() > 0.99
    assert seen.sum() < 0.7 * everything.sum()


def test_right_answers_are_those_of_the_new_prompt() -> None:
    case = {"color": "red", "material": "rust"}
    rows = [
        {"case": case, "old": {"color": "blue", "material": "dots"}, **said, "kept_bytes_that_differ": 1}
        for said in ({"color": "red", "material": "rust"}, {"color": "red", "material": "dots"})
    ]
    found = summary(rows)
    assert found["named"]["color"]["share"] == 1.0
    assert found["named"]["material"]["share"] == found["both_named"]["share"] == 0.5
    assert found["old_named"] == {"color": 0, "material": 1}
    assert found["kept_bytes_that_differ"] == 2
    assert "| the old one's | 0 of 2 | 1 of 2 |" in repaint({"repaint_prompts": found}.__getitem__)
