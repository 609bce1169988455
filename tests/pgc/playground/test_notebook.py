# SPDX-License-Identifier: Apache-2.0
"""The notebook's cells run, one after the other, and are kept without what they showed."""

import json
from pathlib import Path
from typing import Any

import pytest

import pgc.playground

NOTEBOOK = json.loads((Path(pgc.playground.__file__).parent / "playground.ipynb").read_text("utf-8"))
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_it_is_kept_as_it_was_before_it_ran():
    assert NOTEBOOK["nbformat"] == 4
    assert all(cell["outputs"] == [] for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code")


@pytest.mark.slow
def test_its_cells_run_in_their_order(capsys):
    namespace: dict[str, Any] = {}
    shown = []
    for number, cell in enumerate(CELLS):
        if number == 0:
            assert 'STEPS = "red bricks", 60' in cell
            cell = cell.replace(", 60", ", 1")
        *before, last = cell.splitlines()
        # As a notebook does: what a cell's last line is worth is shown.
        exec(compile("\n".join(before) if last.startswith("sheet(") else cell, f"cell {number}", "exec"), namespace)
        if last.startswith("sheet("):
            shown.append(eval(last, namespace))
    assert [one.width > one.height for one in shown] == [True, True]
    assert capsys.readouterr().out.count("of the pixels touched") == 5
