# SPDX-License-Identifier: GPL-3.0-or-later
"""Results that the server still has, to be fetched again: after an undo, a crash, or from another file. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, cast

from ..client import JobState
from .conditions.shapes import ShapeTask
from .state import AppState, JobRequest

__all__ = [
    "NEW_SHAPE_OF",
    "NEW_UV_MAP",
    "RecentResult",
    "completed_request",
    "fetched_request",
    "named_shape",
    "recent_results",
]

NEW_UV_MAP = "{name} (new UV map)"
"""What jobs for new UVs are called on the server. They fit a mesh as it was, and are not fetched again."""
NEW_SHAPE_OF = "{name} (new shape)"
"""What jobs for new shapes are called on the server. Their meshes have the world's axes and sizes."""
_MOST = 15
_HAVE_RESULTS = (JobState.SUCCEEDED, JobState.CANCELLED)
_MOST_SEED = (1 << 31) - 1


@dataclass(frozen=True)
class RecentResult:
    """One of the list. title: for the menu; job: the server's name for it; key: the client's; is_shape: it becomes an
    object of its own, and needs none."""

    title: str
    job: str
    key: str
    is_shape: bool = False


def recent_results(state: AppState, now: float) -> list[RecentResult]:
    """Returns the newest jobs that may have a result, newest first.

    Args:
        now: seconds since 1970.
    """
    ended = [info for info in state.server.jobs if info.state in _HAVE_RESULTS and not _lacks_result(state, info.key)]
    ended = [info for info in ended if not info.name.endswith(NEW_UV_MAP.format(name=""))]
    found: list[RecentResult] = []
    for info in sorted(ended, key=lambda info: -info.created)[:_MOST]:
        view = state.jobs.get(info.key)
        prompt = view.request.prompt if view is not None else ""
        what = " · ".join(text for text in (info.name, prompt[:40]) if text) or info.job[:8]
        partial = ", stopped" if info.state is JobState.CANCELLED else ""
        is_shape = info.name.endswith(NEW_SHAPE_OF.format(name=""))
        found.append(RecentResult(f"{what} ({_ago(now - info.created)}{partial})", info.job, info.key, is_shape))
    return found


def completed_request(request: JobRequest, config: bytes) -> JobRequest:
    """Returns a request of which only the server knows the prompt, completed from the configuration of its result."""
    if request.prompt:
        return request
    try:
        told = json.loads(config)
    except ValueError:
        return request
    prompt = _part(_part(told, "resolved"), "prompt")
    seed: object = cast("dict[str, Any]", told).get("seed") if isinstance(told, dict) else None
    return replace(
        request,
        prompt=str(prompt.get("text") or ""),
        negative=str(prompt.get("negative") or ""),
        seed=min(seed, _MOST_SEED) if isinstance(seed, int) and seed >= 0 else request.seed,
    )


def named_shape(state: AppState, job: str) -> str | None:
    """Returns the name of the new shape that a job of the server's list made; None where it made something else."""
    suffix = NEW_SHAPE_OF.format(name="")
    names = (info.name for info in state.server.jobs if info.job == job)
    return next((name.removesuffix(suffix) for name in names if name.endswith(suffix)), None)


def fetched_request(known: JobRequest | None, same_object: bool | None, shape: bool = False) -> JobRequest:
    """Returns what a fetched result was asked for: all of it where this Blender asked for it, and for this object.

    Args:
        same_object: the object that it is fetched for is the one that it was asked for; None: there is none, which only
            a new shape can do without.
        shape: it is a new shape. One that nobody here asked for becomes an object at the 3D cursor.
    """
    if known is None:
        return JobRequest(prompt="", shape=ShapeTask.of_nothing().written() if shape else "")
    if same_object is None:
        task = ShapeTask.read(known.shape)
        stands_alone = task is not None and task.imagined
        return known if stands_alone else replace(known, shape=ShapeTask.of_nothing().written())
    if same_object:
        # Whoever fetches a result wants to see it.
        return replace(known, waits=False) if known.waits else known
    if known.shape:
        # A mesh of another object: it comes as it was asked for.
        return known
    return JobRequest(prompt=known.prompt, negative=known.negative, seed=known.seed, settings=known.settings)


def _part(told: object, name: str) -> dict[str, Any]:
    part = cast("dict[str, Any]", told).get(name) if isinstance(told, dict) else None
    return cast("dict[str, Any]", part) if isinstance(part, dict) else {}


def _lacks_result(state: AppState, key: str) -> bool:
    view = state.jobs.get(key)
    return view is not None and view.nothing_kept


def _ago(seconds: float) -> str:
    if seconds < 90:
        return "just now"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago" if seconds < 129600 else f"{seconds / 86400:.0f} days ago"
