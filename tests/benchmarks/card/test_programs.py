# SPDX-License-Identifier: Apache-2.0
"""The programs that measure how a run grows, on sizes that take no time."""

from __future__ import annotations

import pytest

from tests.benchmarks.card.busy_machine import CASES, summary
from tests.benchmarks.card.card_tables import busy, compared, growth
from tests.benchmarks.card.compare_pgc3d import by_count, timed_fields
from tests.benchmarks.card.scaling import AXES, Size, fitted_law, measured


def test_a_law_that_was_put_in_comes_out() -> None:
    sizes = [128.0, 256.0, 512.0, 1024.0]
    for fixed, factor, power in ((0.2, 3e-6, 2.0), (0.0, 0.01, 1.0), (1.0, 1e-9, 2.5)):
        law = fitted_law(sizes, [fixed + factor * size**power for size in sizes])
        assert law.power == pytest.approx(power)
        assert law.factor == pytest.approx(factor, rel=1e-3)
        assert law.fixed == pytest.approx(fixed, abs=1e-6)
        assert law.error < 1e-6
    # Noise does not make a time below nothing.
    law = fitted_law(sizes, [0.1, 0.1, 0.1, 0.5])
    assert law.fixed >= 0.0
    assert law.factor >= 0.0
    assert law.error > 0.01


def test_the_largest_mesh_is_the_one_that_was_promised() -> None:
    assert max(AXES["triangles"]) == 2_000_000


@pytest.mark.slow
def test_sizes_take_turns_and_are_told_in_the_table() -> None:
    base = Size(resolution=16, texture=32, triangles=100)
    found = measured("resolution", (8, 16, 32), base, 1)
    assert len(found["step_s"]) == 3
    assert min(found["step_s"]) > 0.0
    assert "| side of a view, pixels | 8, 16, 32 |" in growth({"scaling": {"axes": {"resolution": found}}}.__getitem__)


@pytest.mark.slow
def test_the_official_recipe_is_counted_beside_ours() -> None:
    counted = by_count()
    # 29.87 TFLOP a view and step: an expert's count of the networks themselves.
    assert counted["pgc/paper"]["pflop"] == pytest.approx(1200 * 4 * 29.87e-3, rel=0.01)
    assert counted["standard, from gray"]["pflop"] == pytest.approx(counted["pgc3d/sdxl-depth"]["pflop"])
    assert counted["standard"]["pflop"] < counted["pgc/paper"]["pflop"] / 5
    rest = {"resolution": 16, "texture": 32, **timed_fields(16, 32, 1)}
    told = {"compare_pgc3d": {"by_count": counted, "step_outside_the_prior_s": rest}}
    assert "| pgc3d/sdxl-depth | 2,800 of 4 | 335 |" in compared(told.__getitem__)


def test_busy_processes_are_measured_against_the_best_of_an_idle_machine() -> None:
    names = ["1 thread, alone", "1 thread, beside two busy", "2 threads, alone", "2 threads, beside two busy"]
    assert len(names) == len(CASES)
    walls = dict(zip(names, (1.0, 1.5, 0.5, 2.0), strict=True))
    one = {
        name: {"wall_s": [wall, wall + 9.0, wall - 0.1], "processor_s": [1.0], "others": 0.1}
        for name, wall in walls.items()
    }
    found = summary([one])
    assert found["times_as_long"] == {"1": 3.0, "2": 4.0}
    assert not found["kept"]
    assert summary([{**one, names[1]: {**one[names[1]], "wall_s": [1.25]}}])["kept"]
    assert "| 2 threads, alone | 0.50 s | 1.00 s | 10 % |" in busy({"busy_machine": found}.__getitem__)
