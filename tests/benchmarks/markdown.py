# SPDX-License-Identifier: Apache-2.0
"""Tables in Markdown, and figures as they stand in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["mean_and_half", "percent", "share_with_interval", "table"]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table; every row has as many cells as the head, or ValueError is raised."""
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"a row has {len(row)} cells where the head has {len(head)}: {row}")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def percent(share: float, digits: int = 0) -> str:
    """Returns a share of 0 to 1 as percents."""
    return f"{100 * share:.{digits}f} %"


def mean_and_half(score: Mapping[str, float], digits: int) -> str:
    """Returns a mean with half of its 95 % interval, from a mapping with `mean`, `low` and `high`."""
    half = (score["high"] - score["low"]) / 2
    return f"{score['mean']:.{digits}f} ± {half:.{digits}f}"


def share_with_interval(accuracy: Mapping[str, Any]) -> str:
    """Returns "28 of 32 (88 %; 72 to 95 %)" from successes, trials, share and its 95 % interval."""
    interval = f"{100 * accuracy['low']:.0f} to {100 * accuracy['high']:.0f} %"
    return f"{accuracy['successes']} of {accuracy['trials']} ({percent(accuracy['share'])}; {interval})"
