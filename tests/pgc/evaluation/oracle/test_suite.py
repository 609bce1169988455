# SPDX-License-Identifier: Apache-2.0
"""The oracle suite, small: it recovers what is known, and its exact checks can fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pgc.errors import ConfigError
from pgc.evaluation.oracle.run import checks, run_oracle
from pgc.evaluation.oracle.suite import OracleSuiteConfig, OracleWorld, cases, lock_and_resume, run_case

TINY = OracleSuiteConfig(
    meshes=("star",), materials=(("red", "plain"),), steps=30, views=1, resolution=32, texture_size=32,
    learning_rate=0.1,
)  # fmt: skip


def test_the_grid_is_the_whole_product() -> None:
    grid = cases(replace(TINY, meshes=("star", "trefoil")))
    assert len(grid) == 2 * 1 * 2 * 2 * 2
    assert len({case.name for case in grid}) == len(grid)
    with pytest.raises(ConfigError, match="at least one"):
        replace(TINY, meshes=())
    with pytest.raises(ConfigError, match="4 or more"):
        replace(TINY, steps=3)


@pytest.mark.slow
def test_a_plain_material_is_recovered_and_longer_runs_come_closer() -> None:
    case = cases(TINY)[0]
    row = run_case(OracleWorld.build(TINY, case), case)
    short = run_case(OracleWorld.build(replace(TINY, steps=4), case), case)
    # An untouched gray texture is 0.4 away from red: 8 dB.
    assert row["psnr"][0] > short["psnr"][0] + 3.0
    assert row["psnr"][0] > 15.0
    assert len(row["seam_ratio"]) == len(row["seam_ratio_truth"])
    assert 0.0 <= row["uncovered_fraction"] < 1.0


@pytest.mark.slow
def test_locks_and_resume_hold_on_the_hardest_setting(tmp_path: Path) -> None:
    case = cases(TINY)[-2]
    assert (case.encoder, case.noise, case.clipping) == ("convolution", True, True)
    exact = lock_and_resume(OracleWorld.build(TINY, case), case, tmp_path)
    assert all(checks(exact).values())
    assert exact["free_difference"] > 0.01
    assert list(tmp_path.iterdir()) == [], "the checkpoint is left over"


def test_each_exact_check_can_fail() -> None:
    good = {"locked_difference": 0.0, "free_difference": 0.1, "sha256_resumed": "a", "sha256_uninterrupted": "a"}
    assert all(checks(good).values())
    for change in ({"locked_difference": 1e-7}, {"free_difference": 0.0}, {"sha256_resumed": "b"}):
        assert sum(not held for held in checks(good | change).values()) == 1


@pytest.mark.slow
def test_the_command_writes_results_and_goes_on(tmp_path: Path) -> None:
    config = replace(TINY, steps=4)
    lines: list[str] = []
    assert run_oracle(config, tmp_path, tmp_path / "result.json", 2, lines.append)
    assert "0 done before" in lines[0]
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["n"] == 2
    assert set(result["by_setting"]) == {"identity, clean, PGC", "identity, clean, plain"}
    assert all(result["checks"].values())
    lines.clear()
    assert run_oracle(config, tmp_path, tmp_path / "again.json", 2, lines.append)
    assert "2 done before" in lines[0]
    assert json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))["rows"] == result["rows"]
    assert (tmp_path / result["configuration_hash"] / "report.html").is_file()
