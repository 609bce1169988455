# SPDX-License-Identifier: Apache-2.0
"""A grid is run once, goes on where it stopped, and refuses at its beginning what could not run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pgc.comparison.grid import Grid, parse_method
from pgc.comparison.run import ComparisonRequest, planned_runs, run_comparison
from pgc.comparison.scores import named_in
from pgc.errors import ConfigError
from pgc.runs.runner import RunHooks

SMALL = "steps=2 warm_start=no views=1 resolution=32 texture_size=32"


@pytest.fixture
def request_of_two(cube_obj: Path, tmp_path: Path) -> ComparisonRequest:
    methods = parse_method(f"PGC: {SMALL}") + parse_method(f"none: {SMALL} regulation=none")
    grid = Grid(methods=methods, prompts=("red bricks",), meshes=(str(cube_obj),))
    return ComparisonRequest(grid=grid, out=tmp_path / "out", device="cpu")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_runs_once_and_goes_on(request_of_two: ComparisonRequest) -> None:
    said: list[str] = []
    stops = iter([True, *[False] * 99])
    stopped = run_comparison(request_of_two, said.append, RunHooks(should_stop=lambda: next(stops)))
    assert (stopped.page, stopped.finished) == (None, False), "stopped in its first run"
    assert said[0].startswith("2 methods x 1 prompts x 1 meshes x 1 seeds: 2 runs, 0 of them there already. To go: 4")
    half = run_comparison(replace(request_of_two, limit=1), said.append)
    assert not half.finished
    assert half.page is not None
    whole = run_comparison(request_of_two, said.append)
    assert whole.finished
    folders = {path: path.stat().st_mtime_ns for path in request_of_two.out.glob("runs/*/textured.glb")}
    assert len(folders) == 2
    again = run_comparison(request_of_two, said.append)
    assert again.finished
    assert "2 of them there already. To go: 0 steps" in said[-1]
    assert {path: path.stat().st_mtime_ns for path in folders} == folders, "nothing is run again"
    rows = json.loads((request_of_two.out / "comparison.json").read_text(encoding="utf-8"))["rows"]
    assert [row["method"] for row in rows] == ["PGC", "none"]
    assert set(rows[0]["scores"]) == {"speckle", "color", "material"}
    assert rows[1]["regulation"]["clipped_fraction"] == 0.0
    page = (request_of_two.out / "index.html").read_text(encoding="utf-8")
    assert page.count('type="application/octet-stream"') == 2
    assert page.count("data:image/webp;base64") == 2, "a gradient of each run"


def test_the_cost_alone_runs_nothing(request_of_two: ComparisonRequest) -> None:
    said: list[str] = []
    outcome = run_comparison(replace(request_of_two, only_cost=True), said.append)
    assert (outcome.page, outcome.finished, len(said)) == (None, False, 1)
    assert not list(request_of_two.out.glob("runs/*"))


def test_what_cannot_run_is_refused_before_anything_does(request_of_two: ComparisonRequest) -> None:
    bad = parse_method("bad: loss=csd guidance_rescale=0.5")
    grid = replace(request_of_two.grid, methods=request_of_two.grid.methods + bad)
    with pytest.raises(ConfigError, match=r"'bad' on .*: .*guidance_rescale"):
        run_comparison(replace(request_of_two, grid=grid), lambda text: None)
    assert not request_of_two.out.exists()
    missing = replace(request_of_two.grid, meshes=("nowhere.obj",))
    with pytest.raises(ConfigError, match=r"There is no file .*nowhere.obj"):
        planned_runs(missing)


def test_another_setting_is_another_run(request_of_two: ComparisonRequest, cube_obj: Path) -> None:
    keys = [run.key for run in planned_runs(replace(request_of_two.grid, seeds=(0, 1)))]
    assert len(set(keys)) == 4
    cube_obj.write_text(cube_obj.read_text(encoding="utf-8").replace("v 1 1 1", "v 1 1 1.5"), encoding="utf-8")
    assert not {run.key for run in planned_runs(request_of_two.grid)} & set(keys), "the mesh changed"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a pot made of red bricks", ("red", "brick")),
        ("a blue checkered object", ("blue", "checker")),
        ("Green camouflage", ("green", "camouflage")),
        ("red and blue stripes", (None, "stripes")),
        ("a weathered object", (None, None)),
        ("a rusty wooden thing", (None, None)),
    ],
)
def test_what_a_prompt_names(prompt: str, expected: tuple[str | None, str | None]) -> None:
    assert named_in(prompt) == expected
