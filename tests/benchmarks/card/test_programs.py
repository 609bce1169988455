# SPDX-License-Identifier: Apache-2.0
"""The programs that measure how a run grows, on sizes that take no time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pgc.waiting_threads import let_threads_sleep
from tests.benchmarks.card.busy_machine import CASES, summary
from tests.benchmarks.card.card_tables import busy, compared, frozen, growth, over_time, pair, waits
from tests.benchmarks.card.compare_pgc3d import by_count, timed_fields
from tests.benchmarks.card.demo_pair import PROMPTS, SIDES, environment_of, order
from tests.benchmarks.card.demo_pair import summary as pair_summary
from tests.benchmarks.card.frozen_networks import AS_IT_RUNS, cases
from tests.benchmarks.card.frozen_networks import measured as frozen_measured
from tests.benchmarks.card.frozen_networks import summary as frozen_summary
from tests.benchmarks.card.scaling import AXES, Size, fitted_law, measured
from tests.benchmarks.card.score_over_time import score_at, worlds
from tests.benchmarks.card.score_over_time import summary as score_summary
from tests.benchmarks.card.thread_waits import SPINS
from tests.benchmarks.card.thread_waits import summary as waits_summary


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


def test_waiting_is_told_beside_others_and_alone() -> None:
    steps = {"alone": [{"wall_s": 0.2, "processor_s": 0.3}] * 2, "beside": [{"wall_s": 0.5, "processor_s": 0.3}]}
    found = waits_summary({"0": steps, "one thread": steps})
    assert found["0"]["times_as_long"] == pytest.approx(2.5)
    told = waits({"thread_waits": {"waits": found}}.__getitem__)
    assert told.index("(one thread)") < told.index("| 0 |")
    assert "0.200 s | 0.500 s" in told
    # What the product asks for was measured.
    asked: dict[str, str] = {}
    let_threads_sleep(asked)
    assert int(asked["GOMP_SPINCOUNT"]) in SPINS


def test_a_way_is_fast_by_the_ratios_of_its_own_rounds() -> None:
    # The machine was slow in the second round, for both.
    found = {
        "seconds": {AS_IT_RUNS: [1.0, 9.0, 1.0], "other": [0.5, 4.5, 2.0]},
        "difference": {AS_IT_RUNS: 0, "other": 0.01},
    }
    rows = frozen_summary(found)
    assert rows["other"]["times_as_fast"] == 2.0
    assert rows["other"]["fast_enough"]
    assert not rows[AS_IT_RUNS]["fast_enough"]
    assert "| other | 2.00; 0.01 |" in frozen({"frozen_networks": {"threads": {"1": {"decoder": rows}}}}.__getitem__)


@pytest.mark.slow
def test_all_ways_of_torch_answer_what_float32_answers() -> None:
    torch.set_num_threads(1)
    for name, case in cases(views=2).items():
        rows = frozen_summary(frozen_measured(case, 1, ()))
        assert rows["float32, channels first"]["difference"] < 1e-4, name
        assert 0.0 < rows["bfloat16, channels last"]["difference"] < 0.05, name


def test_two_commits_take_turns_with_their_own_packages_and_are_compared_round_by_round() -> None:
    assert [order(number)[0] for number in range(3)] == ["before", "after", "before"]
    bare = environment_of(Path("/old"), {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HOME": "/h"})
    assert bare == {"HOME": "/h", "PYTHONPATH": "/old"}
    assert environment_of(Path("/old"), {}, 1)["OMP_NUM_THREADS"] == "1"
    told = {"color": 0.9, "material": 0.8, "color_right": True, "material_right": False}
    times = {"before": (100.0, 300.0), "after": (40.0, 140.0)}
    rows = [
        {
            "round": number,
            "side": side,
            "wall_s": times[side][number],
            "processor_s": 10.0,
            "prompts": dict.fromkeys(PROMPTS, told),
        }
        for number in range(2)
        for side in SIDES
    ]
    found = pair_summary(rows)
    assert found["ratios"]["wall_s"] == [pytest.approx(0.4), pytest.approx(140 / 300)]
    assert found["kept"]
    assert found["sides"]["after"]["right"] == 0
    assert found["sides"]["after"]["judged"] == 6
    commits = {"before": "0123456789", "after": "abcdef0123"}
    assert "| after, abcdef01 | 10 s | 90 s | 0.90 | 0.80 | 0 of 6 |" in pair(
        {"demo_pair": {**found, "commits": commits}}.__getitem__
    )


def test_worlds_are_every_prompt_on_every_mesh_and_the_first_eight_are_even() -> None:
    found = worlds()
    assert len({(one.prompt, one.mesh) for one in found}) == len(found) == 32
    assert len({one.prompt for one in found[:8]}) == 8
    meshes = [one.mesh for one in found[:8]]
    assert all(meshes.count(mesh) == 2 for mesh in set(meshes))
    assert len(set(meshes)) == 4


def test_curves_say_when_a_warm_run_is_as_good_and_where_it_loses() -> None:
    curve = [(10.0, 0.5, 0.5), (20.0, 1.0, 0.8)]
    assert [score_at(curve, at) for at in (9.0, 10.0, 19.0, 99.0)] == pytest.approx([0.0, 0.5, 0.5, 0.9])
    slow = [(50.0, 0.9, 0.9)]
    rows = [
        {"prompt": "red bricks", "mesh": "knot", "warm": curve, "cold": slow},
        {"prompt": "gold", "mesh": "knot", "warm": curve[:1], "cold": slow},
    ]
    found = score_summary(rows)
    assert found["warm_has_cold_end_after_s"] == [20.0, None]
    assert found["never"] == 1
    assert [one["prompt"] for one in found["lost"]] == ["gold"]
    assert "| 20 s | 0.70 | 0.00 |" in over_time({"score_over_time": found}.__getitem__)
