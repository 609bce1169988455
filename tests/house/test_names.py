# SPDX-License-Identifier: Apache-2.0
"""Every name in the code is defined somewhere.

Lint and types leave this to us: ruff's F821 and pyright's like take the axes of a shape ("n" in `Float[Tensor, "n"]`)
for names.
"""

import io
import json
import subprocess
import sys
import tokenize
from pathlib import Path

from tests.house.__main__ import ROOT

PLACES = ("pgc", "server", "blender_addon", "tests", "build_addon.py")


def _in_text(path: Path, row: int, column: int) -> bool:
    """Whether a place (both from 1, as ruff counts) is inside of quotes."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
    return any(token.type == tokenize.STRING and token.start <= (row, column - 1) < token.end for token in tokens)


def undefined_names(*places: Path) -> list[str]:
    """Returns names that nothing defines, each with its place."""
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F821"]
    done = subprocess.run(
        [*command, "--output-format", "json", *map(str, places)], capture_output=True, text=True, check=False
    )
    found = []
    for one in json.loads(done.stdout):
        path, at = Path(one["filename"]), one["location"]
        if not _in_text(path, at["row"], at["column"]):
            found.append(f"{path.name}:{at['row']}: {one['message']}")
    return found


def test_all_names_are_defined():
    assert undefined_names(*(ROOT / place for place in PLACES)) == []


def test_a_name_that_nothing_defines_is_seen(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        'from __future__ import annotations\n\n\ndef once(values: Sequence[int], shape: Float[Tensor, "n"]) -> None:\n'
        "    save_all(values)\n"
    )
    assert [text.partition(": ")[2] for text in undefined_names(path)] == [
        "Undefined name `Sequence`",
        "Undefined name `Float`",
        "Undefined name `Tensor`",
        "Undefined name `save_all`",
    ]
