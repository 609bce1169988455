# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

import pgc
from pgc.errors import CheckpointError
from pgc.runs import report as run_report
from pgc.runs.report import RunReport, git_revision, plain, read_report, versions, write_report


@dataclass(frozen=True)
class Inner:
    path: Path
    values: tuple[int, ...]


def report(**changes):
    fields = {
        "state": "finished",
        "arguments": {"prompt": "red bricks"},
        "resolved": plain(Inner(path=Path("a/b"), values=(1, 2))),
        "seed": 3,
        "steps_done": 4,
        "device": "cpu",
        "mesh": {"name": "teapot"},
    }
    return RunReport(**{**fields, **changes})


def test_plain_values_are_json_and_name_their_type():
    assert plain({"x": Inner(path=Path("a/b"), values=(1, 2))}) == {
        "x": {"type": "Inner", "path": str(Path("a/b")), "values": [1, 2]}
    }


def test_a_report_comes_back_with_versions_and_revision(tmp_path):
    write_report(tmp_path / "run.json", report())
    content = read_report(tmp_path / "run.json")
    assert content["seed"] == 3
    assert content["resolved"]["values"] == [1, 2]
    assert content["versions"]["pgc-texture"] == pgc.__version__
    assert content["versions"]["torch"] != "not installed"
    assert "git" in content


def test_versions_say_what_is_missing(monkeypatch):
    monkeypatch.setattr(run_report, "_PACKAGES", ("no-such-package-of-ours",))
    assert versions()["no-such-package-of-ours"] == "not installed"


def test_a_checkout_has_a_revision_and_an_installed_copy_none(monkeypatch, tmp_path):
    assert git_revision() is None or len(git_revision().removesuffix("+changes")) >= 40
    monkeypatch.setattr(pgc, "__file__", str(tmp_path / "site-packages" / "pgc" / "__init__.py"))
    assert git_revision() is None


@pytest.mark.parametrize("content", ["", "[1]", json.dumps({"format": "other"})])
def test_foreign_reports_are_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"run\.json"):
        read_report(tmp_path / "run.json")


def test_a_missing_report_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="folder of a run"):
        read_report(tmp_path / "run.json")


@pytest.mark.parametrize("kind", ["pgc-shape-1", "pgc-volume-1"])
def test_a_run_of_another_kind_is_called_by_its_name(tmp_path, kind):
    (tmp_path / "run.json").write_text(json.dumps({"format": kind}))
    with pytest.raises(CheckpointError, match="is of a run for a new shape"):
        read_report(tmp_path / "run.json")
    assert read_report(tmp_path / "run.json", (kind,))["format"] == kind
