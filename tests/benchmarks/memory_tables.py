# SPDX-License-Identifier: Apache-2.0
"""Tables of what the models need of a card, by count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pgc.runs.memory.speeds import in_words
from tests.benchmarks.markdown import table

__all__ = ["memory", "plans"]

_MODELS = {"sd15": "Stable Diffusion 1.5", "sdxl": "SDXL"}


def memory(read: Callable[[str], Any]) -> str:
    """Returns what the planner chooses on each card, with what it expects of it."""
    rows: list[list[str]] = []
    for row in read("memory")["choices"]:
        rows.append(
            [
                _model(row),
                f"{row['card_gib']} GB, {row['card']}",
                _words(row["plan"]),
                f"{row['gb']:.1f}",
                f"{row['step_tflop']:.0f}",
                f"{row['step_seconds']:.2f}",
                "–" if row["sampled_seconds"] is None else _time(row["sampled_seconds"]),
                _time(row["seconds"]),
                _time(row["gray_seconds"]),
            ]
        )
    return table(
        ["model", "card", "plan", "GB", "TFLOP a step", "s a step", "first texture", "all", "all, from gray"], rows
    )


def plans(read: Callable[[str], Any]) -> str:
    """Returns what each plan needs."""
    result = read("memory")
    lit = {(row["model"], _words(row["plan"])): row["gb"] for row in result["plans"] if row["lit"]}
    rows = [
        [
            _MODELS[row["model"]],
            _words(row["plan"]),
            f"{row['gb']:.1f}",
            f"{lit[row['model'], _words(row['plan'])]:.1f}",
        ]
        for row in result["plans"]
        if not row["lit"]
    ]
    return table(["model", "plan", "base colour alone, GB", "with roughness, metallic, normal, GB"], rows)


def _time(seconds: float) -> str:
    return in_words(seconds).removeprefix("about ")


def _model(row: Mapping[str, Any]) -> str:
    return _MODELS[row["model"]] + (", lit" if row["lit"] else "")


def _words(plan: Mapping[str, Any]) -> str:
    views = f"{plan['views']} view" + ("s" if plan["views"] > 1 else "")
    ways = ["one after the other"] if plan["view_by_view"] else []
    ways += ["weights in main memory"] if plan["streamed"] else []
    return ", ".join([f"{views} of {plan['resolution']}²", *ways])
