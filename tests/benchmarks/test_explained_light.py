# SPDX-License-Identifier: Apache-2.0
"""What is compared: worlds that have both settings, each of the first result that has it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks.explained_light import SCORES, paired


def row(setting: str, mesh: int, value: float) -> dict[str, Any]:
    return {"setting": setting, "case": {"mesh": mesh, "material": "stone"}, **dict.fromkeys(SCORES, value)}


def test_worlds_are_paired_and_the_first_result_counts() -> None:
    first = {"rows": [row("explained", 0, 5.0), row("explained", 1, 7.0), row("explained", 2, 9.0)]}
    second = {
        "rows": [row("unknown", 0, 4.0), row("unknown", 1, 4.0), row("explained", 0, 99.0), row("unknown", 5, 1.0)]
    }
    found = paired([first, second])
    assert found["n"] == 2
    assert [each["mesh"] for each in found["rows"]] == [0, 1]
    assert found["differences"]["relit_psnr"]["mean"] == 2.0
    assert found["summary"]["explained"]["base_color_psnr"]["mean"] == 6.0
    with pytest.raises(SystemExit, match="both settings"):
        paired([first])
