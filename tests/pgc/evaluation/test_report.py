# SPDX-License-Identifier: Apache-2.0
"""Reports escape what they show and stand alone."""

from __future__ import annotations

from pathlib import Path

from pgc.evaluation.report import confusion_table, page, settings_block, table, write_page


def test_tables_escape_and_round() -> None:
    text = table(("a<b", "n"), [("<script>", 0.123456)])
    assert "&lt;script&gt;" in text
    assert "a&lt;b" in text
    assert "0.123<" in text
    assert "<script>" not in text


def test_confusion_marks_right_and_wrong_and_hides_zeros() -> None:
    text = confusion_table(["a", "b"], [[3, 1], [0, 0]])
    assert '<td class="right number">3</td>' in text
    assert '<td class="wrong number">1</td>' in text
    assert ">0<" not in text


def test_pages_fetch_nothing(tmp_path: Path) -> None:
    write_page(tmp_path / "sub" / "report.html", "A & B", {"One": "<p>x</p>", "Two": settings_block({"k": "<v>"})})
    text = (tmp_path / "sub" / "report.html").read_text(encoding="utf-8")
    assert text == page("A & B", {"One": "<p>x</p>", "Two": settings_block({"k": "<v>"})})
    assert "A &amp; B" in text
    assert "&lt;v&gt;" in text
    assert "http" not in text
