# SPDX-License-Identifier: Apache-2.0
"""Tables of volumes: known shapes under an oracle, and what the built-in model makes of prompts."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean
from typing import Any

from tests.benchmarks.markdown import table
from tests.benchmarks.shape_tables import CONDITIONS, cell

__all__ = ["imagined", "volumes"]


def volumes(read: Callable[[str], Any]) -> str:
    """Returns distance and angle of normals before and after, the mean over seeds, for each shape."""
    rows = read("volume")["rows"]
    names = list(dict.fromkeys(row["shape"] for row in rows))
    lines = []
    for name in [*names, None]:
        chosen = [row for row in rows if name in (None, row["shape"])]
        after = [[row["after"] for row in chosen if row["condition"] == one] for one in CONDITIONS]
        runs = min(len(scores) for scores in after)
        lines.append([name or "mean", str(runs), cell([row["before"] for row in chosen]), *map(cell, after)])
    return table(["shape", "runs", "before", *CONDITIONS], lines)


def imagined(read: Callable[[str], Any]) -> str:
    """Returns, for each prompt, what the judge says of colour and material, and which shapes the volumes are nearest
    to; and how many of each are what was asked for."""
    rows = read("volume")["prompts"]
    lines, hits = [], [[_told(row)[at] == _asked(row)[at] for row in rows if _told(row)[at]] for at in range(4)]
    for row in rows:
        told, asked = _told(row), _asked(row)
        marked = [word if word in ("", wanted) else f"**{word}**" for word, wanted in zip(told, asked, strict=True)]
        minutes = sum(row["processor_seconds"].values()) / 60
        lines.append([row["prompt"], *marked, f"{minutes:.1f}"])
    each = mean(sum(row["processor_seconds"].values()) for row in rows) / 60
    lines.append(["right", *(f"{sum(hit)} of {len(hit)}" for hit in hits), f"{each:.1f}"])
    head = ["prompt", "colour", "material", "shape, begun as its word", "shape, begun as a ball", "processor minutes"]
    return table(head, lines)


def _told(row: dict[str, Any]) -> list[str]:
    judge, shapes = row["judge"], row["shapes"]
    return [judge["color"], judge["material"], shapes["word"]["nearest"], shapes.get("ball", {}).get("nearest", "")]


def _asked(row: dict[str, Any]) -> list[str]:
    asked = row["asked"]
    return [asked["color"], asked["material"], asked["shape"], asked["shape"]]
