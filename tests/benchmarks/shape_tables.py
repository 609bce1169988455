# SPDX-License-Identifier: Apache-2.0
"""Tables of shapes that were learnt from a ball under an oracle."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean
from typing import Any

from tests.benchmarks.markdown import table

__all__ = ["CONDITIONS", "cell", "pictures", "shape_steps", "shapes"]

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


def pictures(read: Callable[[str], Any]) -> str:
    """Returns the same before and after runs from one picture, with both halves and with each alone."""
    rows = read("picture")["rows"]
    halves = list(dict.fromkeys(row["half"] for row in rows))
    names = list(dict.fromkeys(row["object"] for row in rows))
    lines = []
    for name in [*names, None]:
        chosen = [row for row in rows if name in (None, row["object"])]
        after = [[row["after"] for row in chosen if row["half"] == half] for half in halves]
        runs = min(len(scores) for scores in after)
        lines.append([name or "mean", str(runs), cell([row["before"] for row in chosen]), *map(cell, after)])
    return table(["object", "runs", "before", *halves], lines)


def shape_steps(read: Callable[[str], Any]) -> str:
    """Returns what a step takes beside a texture run's, and what runs with SDXL come to by count."""
    result = read("shape_step")
    own, counted = result["measured"], result["by_count"]
    lines = [
        [name, f"{row['processor_seconds']:.2f} s", f"{row['tensors_mb']:.0f} MB"]
        for name, row in sorted(own.items(), key=lambda item: item[0] != "texture")
    ]
    measured = table(["a step of one view", "processor", "tensors at most"], lines)
    lines = [
        [
            name,
            f"{row['steps']:,} of {row['views']}",
            str(row["pictures"]),
            f"{row['tflop_a_step']:.0f}",
            *(f"{hours:.1f} h" for hours in row["hours"].values()),
        ]
        for name, row in sorted(counted.items(), key=lambda item: item[0] != "texture")
    ]
    cards = list(counted["texture"]["hours"])
    return measured + "\n\n" + table(["SDXL", "steps of views", "pictures a view", "TFLOP a step", *cards], lines)


def cell(scores: list[dict[str, float]]) -> str:
    """Returns the mean distance and angle of some scores."""
    distance, angle = (mean(score[key] for score in scores) for key in ("chamfer", "normal_angle"))
    return f"{distance:.3f}, {angle:.0f}°"
