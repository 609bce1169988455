# SPDX-License-Identifier: Apache-2.0
"""The measurements' page says what the result files say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.benchmarks import tables
from tests.benchmarks.markdown import percent, share_with_interval, table

PAGE = Path(tables.__file__).with_name("README.md")


def test_the_page_stands_as_the_result_files_have_it() -> None:
    assert tables.written(PAGE.read_text(encoding="utf-8")) == PAGE.read_text(encoding="utf-8"), (
        "run python -m tests.benchmarks.tables"
    )


def test_every_table_stands_in_the_page() -> None:
    found = tables.BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert sorted(found) == sorted(tables.TABLES)


def test_another_result_makes_another_page(tmp_path: Path) -> None:
    copied = tmp_path / "results"
    shutil.copytree(tables.RESULTS, copied)
    text = (copied / "faults.json").read_text(encoding="utf-8")
    (copied / "faults.json").write_text(text.replace('"lost": 0', '"lost": 7', 1), encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    assert "| broker | 50 | 7 | 0 |" in tables.written(page, copied)


def test_the_command_finds_a_page_that_is_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    page.write_text("<!-- table: kills -->\nold\n<!-- end of table -->\n", encoding="utf-8")
    monkeypatch.setattr(tables, "PAGE", page)
    assert tables.main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().err
    assert tables.main([]) == 0
    assert tables.main(["--check"]) == 0
    assert "| worker | 50 |" in page.read_text(encoding="utf-8")


def test_a_table_that_nobody_makes_is_refused() -> None:
    with pytest.raises(tables.UnknownTableError, match="no table “nothing”; known are prompts"):
        tables.written("<!-- table: nothing -->\n<!-- end of table -->")


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a row has 1 cells where the head has 2"):
        table(["a", "b"], [["1"]])


def test_figures_are_written_plainly() -> None:
    assert percent(0.0057, 1) == "0.6 %"
    accuracy = {"successes": 28, "trials": 32, "share": 0.875, "low": 0.719, "high": 0.95}
    assert share_with_interval(accuracy) == "28 of 32 (88 %; 72 to 95 %)"
