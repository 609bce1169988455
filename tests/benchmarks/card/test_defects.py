# SPDX-License-Identifier: Apache-2.0
"""Each defect that a card would have met is held by tests that there are."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]
HEAD = "## What a card would have met"
PAGE = (TESTS / "benchmarks" / "README.md").read_text("utf-8").split(HEAD)[1].split("\n## ")[0]
CRASHES = ("TypeError", "38 GB", "spills", "lost card", "not finite", "old driver", "MPS", "EDM")


def rows(page: str) -> list[list[str]]:
    table = [line for line in page.splitlines() if line.startswith("|")]
    return [line.strip("| ").split(" | ") for line in table[2:]]


def missing(page: str) -> list[str]:
    """Lines without a test, and tests that there are not."""
    found = list[str]()
    for what, shown in rows(page):
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", shown)
        if not named or len(named) != shown.count("::"):
            found.append(what)
        for file, test in named:
            path = TESTS / file
            if not path.is_file() or f"def {test}(" not in path.read_text("utf-8"):
                found.append(f"{file}::{test}")
    return found


def test_every_defect_has_tests_that_there_are() -> None:
    assert len(rows(PAGE)) > 20
    assert missing(PAGE) == []
    assert [crash for crash in CRASHES if crash not in PAGE] == []


@pytest.mark.parametrize(
    "row", ["| a | nothing |", "| a | `pgc/test_devices.py::test_gone` |", "| a | `pgc/gone.py::test_a` |"]
)
def test_a_line_without_its_test_is_found(row: str) -> None:
    assert len(missing(f"| what | shown |\n|---|---|\n{row}")) == 1
