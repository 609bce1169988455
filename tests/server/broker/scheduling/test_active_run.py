# SPDX-License-Identifier: Apache-2.0
"""What a run is before anything is known of it, when it counts as stalled, and which runs make room."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from server.broker.scheduling.active_run import ActiveRun, making_room
from server.config import Supervision


def active(eta: float | None = 100.0, *, cancelling: bool = False, **facts: Any) -> ActiveRun:
    row = SimpleNamespace(cancelling=cancelling, user="someone", interactive=True)
    job: Any = SimpleNamespace(step=0, eta_s=eta, charged_until=0.0, row=row)
    child: Any = None
    return ActiveRun(job=job, attempt=1, child=child, last_advance=0.0, **facts)


def test_a_run_of_which_nothing_is_known_is_protected_and_has_no_time() -> None:
    run = active()
    assert (run.since, run.begun, run.protected, run.median_step) == (0.0, 0.0, True, 0.0)


@pytest.mark.parametrize(("floor", "limit"), [(1.0, 30.0), (40.0, 40.0)])
def test_a_run_is_stalled_after_so_many_of_its_own_steps_and_never_before_the_floor(floor: float, limit: float) -> None:
    limits, run = Supervision(stall_floor=floor, stall_factor=10.0, load_limit=500.0), active()
    assert run.stall_limit(limits) == 500.0
    run.step_seconds.extend((2.0, 3.0, 90.0))
    assert run.stall_limit(limits) == limit


def test_runs_that_end_already_are_not_asked_to_make_room() -> None:
    free = active(protected=False)
    others = [active(protected=False, keeping=True), active(protected=False, cancelling=True)]
    assert making_room([*others, free], 3, 0.0) == [free]
    # One that makes room counts as one that is wanted.
    assert making_room([*others, free, active(protected=False, yielding=True)], 1, 0.0) == []


def test_batch_goes_before_turns_that_are_over_and_of_each_the_longest_first() -> None:
    short, long, unknown = (active(eta, protected=False) for eta in (10.0, 50.0, None))
    turn, hardly = active(1000.0), active(5.0, protected=False)
    runs = [short, long, unknown, turn, hardly]
    assert making_room(runs, 9, 5.0, [turn]) == [unknown, long, short, turn]
    assert making_room(runs, 2, 5.0, [turn]) == [unknown, long]
