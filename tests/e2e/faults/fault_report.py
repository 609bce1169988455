# SPDX-License-Identifier: Apache-2.0
"""What the fault harness found, as a table."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Victim = Literal["broker", "worker", "gate", "client"]
VICTIMS: tuple[Victim, ...] = get_args(Victim)
STEPS = 50
RETURN_TARGET = 3.0


@dataclass
class Point:
    """One kill, and what came of the job."""

    victim: Victim
    delay: float
    """Seconds after the submission."""
    killed: bool = False
    accepted_before: bool = False
    step_before: int = 0
    step_after: int | None = None
    """Where the job went on."""
    steps_lost: int = 0
    work_lost: float = 0.0
    """Seconds from the state that the job went on from to the kill."""
    return_seconds: float | None = None
    """From the kill until the client has a connection again; for a worker or the gate it never lost it."""
    ends: int = 0
    equal: bool = False
    error: str | None = None
    seconds: float = 0.0


def summary(points: list[Point], duration: float, step_seconds: float, interval: float) -> dict[str, Any]:
    """The table: counts and the worst of each. All times in seconds.

    Args:
        duration, step_seconds: of a job that nobody disturbed, and of its steps.
        interval: what the server was told to leave between two checkpoints of a job.
    """

    def of(victim: Victim) -> dict[str, Any]:
        mine = [point for point in points if point.victim == victim]
        returns = [point.return_seconds for point in mine if point.return_seconds is not None]
        return {
            "points": len(mine),
            "killed": sum(point.killed for point in mine),
            "lost": sum(point.ends == 0 for point in mine),
            "twice": sum(point.ends > 1 for point in mine),
            "different": sum(point.ends > 0 and not point.equal for point in mine),
            "steps_lost_most": max((point.steps_lost for point in mine), default=0),
            "work_lost_most_s": round(max((point.work_lost for point in mine), default=0.0), 3),
            "return_median_s": round(statistics.median(returns), 3) if returns else None,
            "return_most_s": round(max(returns), 3) if returns else None,
        }

    return {
        "job": {"steps": STEPS, "texture": 64, "undisturbed_s": round(duration, 3)},
        "step_s": round(step_seconds, 4),
        "accepted_jobs_lost": sum(point.accepted_before and point.ends == 0 for point in points),
        "jobs_lost": sum(point.ends == 0 for point in points),
        "results_twice": sum(point.ends > 1 for point in points),
        "results_different": sum(point.ends > 0 and not point.equal for point in points),
        "checkpoint_interval_s": interval,
        "lost_more_than_an_interval": sum(point.work_lost > interval for point in points),
        "client_back_within_3_s": sum((point.return_seconds or 0.0) <= RETURN_TARGET for point in points),
        "by_victim": {victim: of(victim) for victim in VICTIMS},
    }


def as_text(table: dict[str, Any], points: list[Point]) -> str:
    """JSON with a line a point."""
    lines = ",\n".join("  " + json.dumps(asdict(point)) for point in points)
    return json.dumps(table, indent=1)[:-2] + f',\n "points": [\n{lines}\n ]\n}}\n'
