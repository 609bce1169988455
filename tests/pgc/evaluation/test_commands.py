# SPDX-License-Identifier: Apache-2.0
"""`pgc eval` starts without torch and hands its options on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pgc.evaluation.commands import app
from pgc.evaluation.prior_runs import PriorRunRequest


def test_help_needs_no_torch() -> None:
    code = "import sys, pgc.evaluation.commands; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_names_the_commands() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert all(name in result.stdout for name in ("prompts", "oracle", "train-judge"))


def test_a_failed_check_of_the_oracle_suite_is_an_exit_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import pgc.evaluation.oracle.run as module

    asked: list[object] = []

    def run(*arguments: object) -> bool:
        asked.extend(arguments)
        return False

    monkeypatch.setattr(module, "run_oracle", run)
    result = CliRunner().invoke(app, ["oracle", "--quick", "--work", str(tmp_path), "--limit", "3"])
    assert result.exit_code == 1
    assert asked[0] == module.OracleSuiteConfig.quick()
    assert asked[1:4] == [tmp_path, None, 3]


def test_quick_is_a_slice_of_the_prompts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import pgc.evaluation.prompts.run as module

    asked: list[PriorRunRequest] = []
    monkeypatch.setattr(module, "run_prompts", lambda request, report: asked.append(request))
    runner = CliRunner()
    assert runner.invoke(app, ["prompts", "--quick", "--work", str(tmp_path)]).exit_code == 0
    assert runner.invoke(app, ["prompts", "--quick", "--limit", "2"]).exit_code == 0
    assert runner.invoke(app, ["prompts"]).exit_code == 0
    assert [request.limit for request in asked] == [8, 2, None]
    assert asked[0].work == tmp_path
    assert asked[0].weights is None


def test_options_of_materials_are_handed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import pgc.evaluation.materials.run as module

    asked: list[module.MaterialRunRequest] = []

    def run(request: module.MaterialRunRequest, report: object) -> None:
        asked.append(request)

    monkeypatch.setattr(module, "run_materials", run)
    options = ["--quick", "--light", "paper", "--no-ids", "--seed", "5", "--work", str(tmp_path), "--limit"]
    for limit in ("3", "0"):
        assert CliRunner().invoke(app, ["materials", *options, limit]).exit_code == 0
    some, none = asked
    assert (some.settings, some.ids, some.work, some.config.seed) == (("paper",), False, tmp_path, 5)
    assert (some.limit, some.report_only) == (3, False)
    assert (none.limit, none.report_only) == (None, True), "0 worlds: nothing is started"


def test_quick_is_a_slice_of_the_finishes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import pgc.evaluation.finishes.run as module

    asked: list[PriorRunRequest] = []
    monkeypatch.setattr(module, "run_finishes", lambda request, report: asked.append(request))
    for options in (["--quick", "--work", str(tmp_path)], ["--limit", "2", "--weights", str(tmp_path)], []):
        assert CliRunner().invoke(app, ["finishes", *options]).exit_code == 0
    assert [request.limit for request in asked] == [4, 2, None]
    assert [request.weights for request in asked] == [None, tmp_path, None]
    assert asked[0].work == tmp_path
