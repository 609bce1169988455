# SPDX-License-Identifier: Apache-2.0
"""Smaller plans for a GPU that ran out of memory."""

from __future__ import annotations

from dataclasses import replace

from pgc.presets import RunSettings

__all__ = ["LAST_PLAN", "describe", "smaller", "suggestion"]

LAST_PLAN = 1
"""Plan 0 is what was asked for; one smaller plan is tried before the job fails."""
_SMALLEST_RESOLUTION = 64


def smaller(settings: RunSettings, plan: int) -> RunSettings:
    """The settings of a plan: each halves the views of a step, or with one view left the side of a view."""
    for _ in range(plan):
        optimize = settings.optimize
        if optimize.views > 1:
            optimize = replace(optimize, views=optimize.views // 2)
        elif optimize.resolution > _SMALLEST_RESOLUTION:
            optimize = replace(optimize, resolution=max(optimize.resolution // 2, _SMALLEST_RESOLUTION))
        settings = replace(settings, optimize=optimize)
    return settings


def describe(before: RunSettings, after: RunSettings) -> str:
    """What the artist is told about a smaller plan."""
    old, new = before.optimize, after.optimize
    if new.views != old.views:
        return (
            f"The graphics card ran out of memory: the job goes on with {new.views} instead of {old.views} views a "
            "step, which takes more steps for the same quality."
        )
    return (
        f"The graphics card ran out of memory: the job goes on with views of {new.resolution} instead of "
        f"{old.resolution} pixels, so fine detail is less sharp."
    )


def suggestion(settings: RunSettings) -> str:
    """What to change in a job that does not fit at all."""
    least = smaller(smaller(settings, 1), 1).optimize
    return (
        f"Close other programs that use the graphics card, or try {least.views} view(s) a step of "
        f"{least.resolution} pixels, or a smaller model."
    )
