# SPDX-License-Identifier: Apache-2.0
"""What a run is before anything is known of it, what it costs, when it counts as stalled, and which runs make room."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from server.broker.queue import FairQueue
from server.broker.scheduling.active_run import ActiveRun, making_room, turns_over
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


@pytest.mark.parametrize(("step", "seconds"), [(None, 5.0), (1.0, 5.0), (10.0, 15.0), (20.0, 30.0), (20.5, 5.0)])
def test_a_cancelled_run_may_end_its_step_unless_that_takes_too_long(step: float | None, seconds: float) -> None:
    run = active()
    run.step_seconds.extend([] if step is None else [step])
    assert run.patience(Supervision(cancel_terminate=5.0, cancel_longest=20.0)) == seconds


def test_a_step_takes_what_lies_between_two_tellings_whatever_their_number() -> None:
    run = active()
    run.job.step = 2
    run.stepped(10.0, 3)
    assert not run.step_seconds, "nobody knows when the first one began"
    run.job.step = 3
    run.stepped(16.0, 6)
    run.job.step = 6
    run.stepped(17.0, 6)
    assert list(run.step_seconds) == [2.0]
    assert (run.last_step_at, run.last_advance) == (17.0, 17.0)
    run.rearm(100.0)
    run.stepped(101.0, 7)
    assert list(run.step_seconds) == [2.0], "the machine slept"


def test_a_user_pays_for_the_time_since_the_last_charge_and_never_less_than_nothing() -> None:
    run, queue = active(), FairQueue(quantum=100.0)
    paid: list[tuple[str, float]] = []
    queue.charge = lambda user, seconds: paid.append((user, seconds))  # type: ignore[method-assign]
    run.job.charged_until = 5.0
    for now in (12.0, 13.5, 13.0):
        run.charge(queue, now)
    run.job.charged_until = None
    run.charge(queue, 99.0)
    assert paid == [("someone", 7.0), ("someone", 1.5), ("someone", 0.0)]


@pytest.mark.parametrize(
    ("begun", "waiting", "interactive", "over"),
    [
        (10.0, {"another"}, True, True),
        (10.0, {"another", "someone"}, True, True),
        (10.5, {"another"}, True, False),
        (10.0, {"someone"}, True, False),
        (10.0, set[str](), True, False),
        (10.0, {"another"}, False, False),
    ],
)
def test_a_turn_is_over_when_it_had_its_time_and_another_artist_waits(
    begun: float, waiting: set[str], interactive: bool, over: bool
) -> None:
    run = active(begun=begun)
    run.job.row.interactive = interactive  # type: ignore[misc]
    assert turns_over([run], waiting, 10.0) == ([run] if over else [])
