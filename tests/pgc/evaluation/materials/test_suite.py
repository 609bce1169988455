# SPDX-License-Identifier: Apache-2.0
"""The material suite, small: what it runs, that it learns, that light makes the difference, and that it goes on."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pgc.errors import ConfigError
from pgc.evaluation.materials.config import MaterialCase, MaterialSuiteConfig, cases
from pgc.evaluation.materials.judge import judge, map_scores, texel_area
from pgc.evaluation.materials.report import paired_differences, summarize, verdicts
from pgc.evaluation.materials.run import MaterialRunRequest, light_settings, run_materials
from pgc.evaluation.materials.suite import MaterialWorld, PooledCameras, recover
from pgc.evaluation.materials.truth import SUITE_MATERIALS
from pgc.evaluation.measures.statistics import mean_interval
from pgc.texture.field import BakedTexture
from pgc.texture.penalties import MaterialPriorConfig

TINY = MaterialSuiteConfig(
    meshes=(2,), materials=("two_plastics",), environments=1, relight_views=2, relight_resolution=24, steps=40,
    views=2, resolution=32, texture_size=32, camera_pool=8, noise=None, learning_rate=0.05,
    priors=MaterialPriorConfig(smoothness=0.01),
)  # fmt: skip
KNOWN = MaterialCase(mesh=2, material="two_plastics", light="known", noise=False)

ROW = {
    "base_color_psnr": 29.0, "base_color_ssim": 0.9, "base_color_delta_e_2000": 2.0, "roughness_rmse": 0.07,
    "metallic_rmse": 0.06, "normal_angle": 3.0, "relit_psnr": 37.0, "relit_flip": 0.02, "baked_light_std": 0.03,
    "coverage": 1.0, "sharpness": 0.9, "seam_ratio": [1.0, 1.04], "seam_ratio_truth": [1.0, 1.0],
    "case": {"mesh": 0, "material": "stone"},
}  # fmt: skip
"""Scores of a run."""


@pytest.fixture(scope="module")
def world() -> MaterialWorld:
    return MaterialWorld.build(TINY, 2, "two_plastics")


def test_the_full_suite_is_as_large_as_asked() -> None:
    full, quick = MaterialSuiteConfig(), MaterialSuiteConfig.quick()
    assert (len(full.meshes), len(full.materials)) == (24, 8)
    assert (full.environments, full.relight_views) == (8, 32)
    assert (len(quick.meshes), len(quick.materials), quick.environments) == (6, 4, 8)
    grid = cases(quick, ("known", "unknown", "paper"))
    assert [case.setting for case in cases(quick, ("explained",))] == ["explained"] * 24
    assert len(grid) == 6 * 4 * 4
    assert len({case.name for case in grid}) == len(grid)
    assert [case.setting for case in grid[::24]] == ["known", "known, ids", "unknown", "paper"]
    # Any six runs in a row hold every mesh and all of the materials, and settings share their worlds.
    assert {case.mesh for case in grid[:6]} == set(quick.meshes)
    assert {case.material for case in grid[:6]} == set(SUITE_MATERIALS[:4])
    assert [(c.mesh, c.material) for c in grid[:24]] == [(c.mesh, c.material) for c in grid[48:72]]


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one mesh"):
        replace(TINY, meshes=())
    with pytest.raises(ConfigError, match="0 to 23"):
        replace(TINY, meshes=(24,))
    with pytest.raises(ConfigError, match="one view"):
        replace(TINY, relight_views=0)
    with pytest.raises(ConfigError, match=r"no light setting \['dark'\]"):
        light_settings(["dark"])
    assert light_settings(None) == ("known", "unknown", "paper", "explained")
    assert light_settings(["paper", "known"]) == ("known", "paper")


@pytest.mark.slow
def test_the_cost_is_said_before_anything_is_run(tmp_path: Path) -> None:
    for config, words in (
        (MaterialSuiteConfig(), "960 runs of 240 steps, 0 done before; about 11 hours on one core"),
        (MaterialSuiteConfig.quick(), "120 runs of 240 steps, 0 done before; about 76 minutes on one core"),
    ):
        said: list[str] = []
        with pytest.raises(ConfigError, match="Nothing is done yet"):
            run_materials(MaterialRunRequest(config=config, work=tmp_path, report_only=True), said.append)
        assert said[0].startswith(words)


def test_a_step_takes_different_views_of_the_pool() -> None:
    cameras = PooledCameras(6, 1)
    for seed in range(5):
        chosen = cameras.sample(4, np.random.default_rng(seed))
        assert len({id(camera) for camera in chosen}) == 4
        assert all(any(camera is other for other in cameras.cameras) for camera in chosen)
    assert len(cameras.sample(9, np.random.default_rng(0))) == 9


@pytest.mark.slow
def test_the_truth_scores_perfectly(world: MaterialWorld) -> None:
    scores = judge(world, world.truth)
    assert scores["base_color_psnr"] == float("inf")
    assert scores["base_color_ssim"] == pytest.approx(1.0)
    assert scores["relit_psnr"] == 60.0
    assert scores["relit_pictures"] == 2
    for name in ("base_color_delta_e_2000", "roughness_rmse", "metallic_rmse", "relit_flip", "baked_light_std"):
        assert scores[name] == pytest.approx(0.0, abs=1e-9), name
    assert scores["normal_angle"] == pytest.approx(0.0, abs=1e-4)
    assert scores["sharpness"] == pytest.approx(1.0)
    assert scores["coverage"] == 1.0
    assert scores["seam_ratio"] == scores["seam_ratio_truth"]


def test_texels_share_the_whole_surface(world: MaterialWorld) -> None:
    triangles = world.triangles
    corners = triangles.positions[triangles.faces].astype(np.float64)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    whole = 0.5 * float(np.linalg.norm(cross, axis=1).sum())
    # Centres on charts stand for texels: right up to the charts' rims.
    assert float(texel_area(triangles, 256).sum()) == pytest.approx(whole, rel=0.02)


@pytest.mark.slow
def test_runs_learn_and_knowing_the_light_is_worth_something(world: MaterialWorld) -> None:
    start = replace(world, config=replace(TINY, steps=1))
    untouched = map_scores(world.triangles, recover(start, KNOWN)[0], world.truth)
    world = replace(world, config=replace(TINY, steps=16))
    texture, took = recover(world, KNOWN)
    known = map_scores(world.triangles, texture, world.truth)
    unknown = map_scores(world.triangles, recover(world, replace(KNOWN, light="unknown"))[0], world.truth)
    assert took["seconds"] > 0.0
    assert known["base_color_psnr"] > untouched["base_color_psnr"] + 3.0
    assert known["base_color_psnr"] > unknown["base_color_psnr"] + 1.0
    assert known["metallic_rmse"] < 0.3
    paper = recover(world, replace(KNOWN, light="paper"))[0]
    assert not paper.maps["metallic"][0].any()


@pytest.mark.slow
def test_the_same_run_twice_is_the_same_texture(world: MaterialWorld) -> None:
    short = replace(world, config=replace(TINY, steps=4, average_from=0.5))
    first, second = recover(short, KNOWN)[0], recover(short, KNOWN)[0]
    assert all(torch.equal(first.maps[name][0], second.maps[name][0]) for name in first.maps)


def test_intervals_and_targets_by_hand() -> None:
    found = mean_interval([1.0, 2.0, 3.0])
    assert (found["n"], found["mean"], found["min"], found["max"]) == (3, 2.0, 1.0, 3.0)
    assert found["high"] - 2.0 == pytest.approx(4.302653 / 3.0**0.5), "Student's, of two degrees of freedom"
    assert mean_interval([4.0])["low"] == 4.0
    summary = summarize([{**ROW, "setting": "known"}, {**ROW, "setting": "known, ids"}])
    met = {(v["setting"], v["score"]): v["met"] for v in verdicts(summary)}
    assert summary["known"]["seam_worst"]["mean"] == 1.04
    assert met[("known", "metallic RMSE")]
    assert not met[("known, ids", "metallic RMSE")], "with ids the target is 0.05"
    assert not met[("known", "relit, dB")]
    assert met[("known", "seam ratio, worst of mips 0-4")]
    assert "known · stone" in summary


def test_seams_are_judged_mip_by_mip_and_beside_the_truths() -> None:
    """Means by mip: 1.5 and 1.0 found, 1.25 and 1.0 true: the worst is 1.5, and 1.2 of the truth's."""
    rows = [
        {**ROW, "setting": "known", "seam_ratio": [first, 1.0], "seam_ratio_truth": [known, 1.0]}
        for first, known in ((1.0, 1.0), (2.0, 1.5))
    ]
    found = {v["score"]: v for v in verdicts(summarize(rows))}
    assert found["seam ratio, worst of mips 0-4"]["mean"] == pytest.approx(1.5)
    assert found["the same over the truth's"]["mean"] == pytest.approx(1.2)
    assert not found["the same over the truth's"]["met"]


def test_settings_are_compared_on_the_worlds_that_both_have_run_on() -> None:
    def row(setting: str, mesh: int, decibels: float) -> dict[str, object]:
        return {**ROW, "setting": setting, "case": {"mesh": mesh, "material": "stone"}, "base_color_psnr": decibels}

    rows = [row("known", 0, 30.0), row("known", 1, 20.0), row("known", 2, 99.0)]
    rows += [row("paper", 0, 27.0), row("paper", 1, 19.0), row("paper", 5, 0.0)]
    found = paired_differences(rows)
    assert list(found) == ["paper"]
    change = found["paper"]["base_color_psnr"]
    assert (change["n"], change["mean"], change["min"], change["max"]) == (2, -2.0, -3.0, -1.0)
    assert found["paper"]["roughness_rmse"]["mean"] == 0.0


@pytest.mark.slow
def test_each_map_score_is_of_its_own_map(world: MaterialWorld) -> None:
    """Known errors put into one map each: 0.1 off is 20 dB, and nothing else moves."""
    spoiled = dict(world.truth.maps)
    spoiled["base_color"] = [image + 0.1 for image in spoiled["base_color"]]
    spoiled["roughness"] = [image - 0.2 for image in spoiled["roughness"]]
    spoiled["metallic"] = [image + 0.3 for image in spoiled["metallic"]]
    tilt = math.radians(10.0)
    known = spoiled["normal"][0] * 2.0 - 1.0
    turned = torch.stack(
        [math.cos(tilt) * known[0] + math.sin(tilt) * known[2], known[1],
         math.cos(tilt) * known[2] - math.sin(tilt) * known[0]]
    )  # fmt: skip
    spoiled["normal"] = [0.5 + 0.5 * turned]
    scores = map_scores(world.triangles, BakedTexture(maps=spoiled, uncovered_fraction=0.25), world.truth)
    assert scores["base_color_psnr"] == pytest.approx(20.0, abs=1e-3)
    assert scores["roughness_rmse"] == pytest.approx(0.2, abs=1e-6)
    assert scores["metallic_rmse"] == pytest.approx(0.3, abs=1e-6)
    # A turn about the second axis moves a normal by no more than its angle, the flat one by just that.
    assert 9.0 < scores["normal_angle"] <= 10.0
    assert scores["coverage"] == 0.75
    assert scores["sharpness"] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.slow
def test_the_command_writes_results_and_goes_on(tmp_path: Path) -> None:
    config = replace(TINY, steps=2)
    request = MaterialRunRequest(
        config=config, settings=("known",), ids=False, work=tmp_path / "work", out=tmp_path / "result.json"
    )
    said: list[str] = []
    run_materials(request, said.append)
    assert said[0].startswith("1 runs of 2 steps, 0 done before")
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["n"] == 1
    assert {row["setting"] for row in result["targets"]} == {"known"}
    folder = tmp_path / "work" / result["configuration_hash"]
    page = (folder / "report.html").read_text()
    assert "data:image/jpeg;base64" in page
    assert "known" in page
    said.clear()
    run_materials(replace(request, ids=True), said.append)
    assert said[0].startswith("2 runs of 2 steps, 1 done before")
    again = json.loads((tmp_path / "result.json").read_text())
    assert again["rows"][0] == result["rows"][0]
    assert again["n"] == 2
    said.clear()
    both = replace(request, settings=("known", "unknown"), ids=True, report_only=True)
    assert run_materials(both, said.append)["n"] == 2, "the two that are done, and no other is started"
    assert said[0].startswith("3 runs of 2 steps, 2 done before")
    with pytest.raises(ConfigError, match="Nothing is done yet"):
        run_materials(replace(both, work=tmp_path / "elsewhere"), said.append)
    said.clear()
    moved = replace(both, work=tmp_path / "another machine's", earlier=tmp_path / "result.json")
    assert run_materials(moved, said.append)["rows"] == again["rows"]
    assert said[0].startswith("2 runs taken over from")


@pytest.mark.slow
def test_explained_runs_count_only_where_the_light_was_found_in_the_same_way(tmp_path: Path) -> None:
    request = MaterialRunRequest(config=replace(TINY, steps=2), settings=("unknown", "explained"), work=tmp_path)
    said: list[str] = []
    result = run_materials(request, said.append)
    assert [row["setting"] for row in result["rows"]] == ["unknown", "explained"]
    assert result["rows"][1]["explained_light"]["noise"] == request.config.explained_light.noise
    said.clear()
    assert run_materials(request, said.append)["rows"] == result["rows"]
    other = replace(request.config, explained_light=replace(request.config.explained_light, noise=0.7))
    run_materials(replace(request, config=other, report_only=True), said.append)
    assert [line.split(";")[0].split(", ")[1] for line in said if " runs of " in line] == [
        "2 done before",
        "1 done before",
    ]
