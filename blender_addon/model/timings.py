# SPDX-License-Identifier: GPL-3.0-or-later
"""What earlier jobs took: learned, and as text for the preferences, so that the next Blender can tell too.

Without Blender.
"""

from __future__ import annotations

import json
from typing import Any, cast

from ..client import JobResult
from .choices import need_light
from .conditions.starts import begins_as_usual
from .state import AppState, JobRequest

__all__ = ["learn_timings", "read_timings", "written_timings"]

_MOST = 64
_STEPS = "steps_after_warm_starts"
"""A name of its own: what an earlier version learnt was of runs that began otherwise."""
_LONGEST = 1e6


def learn_timings(state: AppState, request: JobRequest, steps: int, result: JobResult) -> None:
    """Keeps what a job took, which tells what the next one will take. Steps that the artist chose say nothing about the
    preset's.
    """
    lit = need_light(file.map for file in result.maps)
    state.seconds_per_step[request.model, request.texture_size, lit] = result.seconds / steps
    if not _is_unlike_the_preset(request):
        state.steps[request.model, request.preset, lit] = steps


def _is_unlike_the_preset(request: JobRequest) -> bool:
    """Whether the steps were the artist's own, or those of a method that he chose, or of a start of which some stays;
    perhaps so where settings are damaged, which came from a .blend."""
    try:
        settings = json.loads(request.settings)
    except ValueError:
        return True
    if not isinstance(settings, dict):
        return True
    chosen = cast("dict[str, Any]", settings)
    return bool(chosen.get("steps")) or bool(chosen.get("use_start")) or not begins_as_usual(chosen)


def written_timings(state: AppState) -> str:
    """Writes the steps of each preset and the seconds of a step as JSON; the newest entries of each."""
    seconds = [[*key, round(value, 4)] for key, value in state.seconds_per_step.items()]
    steps = [[*key, value] for key, value in state.steps.items()]
    return json.dumps({"seconds_per_step": seconds[-_MOST:], _STEPS: steps[-_MOST:]})


def read_timings(state: AppState, text: str) -> None:
    """Takes in what was written; entries that are not of the right kind are left out, since anybody may edit them."""
    try:
        content = json.loads(text)
    except ValueError:
        return
    fields = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    for entry in _entries(fields.get("seconds_per_step")):
        match entry:
            case [str(model), int(size), bool(lit), int() | float() as seconds] if 0 < seconds < _LONGEST:
                state.seconds_per_step[model, size, lit] = float(seconds)
            case _:
                continue
    for entry in _entries(fields.get(_STEPS)):
        match entry:
            case [str(model), str(preset), bool(lit), int(steps)] if steps > 0:
                state.steps[model, preset, lit] = steps
            case _:
                continue


def _entries(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
