# SPDX-License-Identifier: Apache-2.0
"""Tables of shapes that were learnt from a ball under an oracle."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean
from typing import Any

from tests.benchmarks.markdown import table

__all__ = ["CONDITIONS", "cell", "shapes"]

CONDITIONS = ("no noise, clipped", "noise, clipped", "noise, not clipped")


def shapes(read: Callable[[str], Any]) -> str:
    """Returns distance and angle of normals before and after, the mean over seeds, for each shape and geometry."""
    rows = read("shape")["rows"]
    lines = []
    for geometry in ("offsets", "dmtet"):
        own = [row for row in rows if row["geometry"] == geometry]
        names = list(dict.fromkeys(row["shape"] for row in own))
        for name in [*names, None]:
            chosen = [row for row in own if name in (None, row["shape"])]
            after = [[row["after"] for row in chosen if row["condition"] == one] for one in CONDITIONS]
            runs = min(len(scores) for scores in after)
            before = cell([row["before"] for row in chosen])
            lines.append([f"{geometry}: {name or 'mean'}", str(runs), before, *map(cell, after)])
    return table(["geometry: shape", "runs", "before", *CONDITIONS], lines)


def cell(scores: list[dict[str, float]]) -> str:
    """Returns the mean distance and angle of some scores."""
    distance, angle = (mean(score[key] for score in scores) for key in ("chamfer", "normal_angle"))
    return f"{distance:.3f}, {angle:.0f}°"
