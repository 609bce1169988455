# SPDX-License-Identifier: Apache-2.0
"""What server/README.md says of who may do what is shown by tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "server" / "README.md").read_text("utf-8").split("## Who may do what")[1]
NAMED = ("stranger", "guest", "artist", "admin", "another user of this machine", "web page", "mesh", "model", "folder")


def rows() -> list[list[str]]:
    table = [line for line in PAGE.splitlines() if line.startswith("|")]
    return [line.strip("| ").split(" | ") for line in table[2:]]


def test_every_line_names_tests_that_there_are() -> None:
    assert len(rows()) > 12
    for row in rows():
        assert len(row) == 4, row
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", row[3])
        assert named, row
        assert len(named) == row[3].count("::")
        for file, test in named:
            path = ROOT / "tests" / file
            assert path.is_file(), file
            assert f"def {test}(" in path.read_text("utf-8"), f"{file} has no {test}"


def test_everybody_is_on_the_page() -> None:
    who = " ".join(row[0].lower() for row in rows())
    assert [name for name in NAMED if name not in who] == []
