# SPDX-License-Identifier: GPL-3.0-or-later
"""What earlier jobs took, as text for the preferences, so that the next Blender can tell too. Without Blender."""

from __future__ import annotations

import json
from typing import Any, cast

from .state import AppState

__all__ = ["read_timings", "written_timings"]

_MOST = 64
_LONGEST = 1e6


def written_timings(state: AppState) -> str:
    """Steps of each preset and seconds of a step, as JSON; the newest entries of each."""
    seconds = [[model, size, round(value, 4)] for (model, size), value in state.seconds_per_step.items()]
    steps = [[model, preset, value] for (model, preset), value in state.steps.items()]
    return json.dumps({"seconds_per_step": seconds[-_MOST:], "steps": steps[-_MOST:]})


def read_timings(state: AppState, text: str) -> None:
    """Take what was written in; entries that are not of the right kind are left out, since anybody may edit them."""
    try:
        content = json.loads(text)
    except ValueError:
        return
    fields = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    for entry in _triples(fields.get("seconds_per_step")):
        match entry:
            case [str(model), int(size), int() | float() as seconds] if 0 < seconds < _LONGEST:
                state.seconds_per_step[model, size] = float(seconds)
            case _:
                continue
    for entry in _triples(fields.get("steps")):
        match entry:
            case [str(model), str(preset), int(steps)] if steps > 0:
                state.steps[model, preset] = steps
            case _:
                continue


def _triples(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
