# SPDX-License-Identifier: Apache-2.0
"""The fair queue: equal time for users, urgent before batch, pause, order."""

import random

import pytest

from server.broker.queue import AGEING, FairQueue, QueuedJob


def _job(name: str, user: str = "alice", interactive: bool = True, rank: int = 0, since: float = 0.0) -> QueuedJob:
    return QueuedJob(name, user, interactive, rank, since)


def _drain(queue: FairQueue, now: float = 0.0) -> list[str]:
    names: list[str] = []
    while (job := queue.take(now)) is not None:
        names.append(job.job)
    return names


def test_an_empty_queue_gives_nothing() -> None:
    assert FairQueue().take(0.0) is None


def test_one_user_gets_jobs_in_order_of_rank() -> None:
    queue = FairQueue()
    for name, rank in (("b", 2), ("a", 1), ("c", 3)):
        queue.add(_job(name, rank=rank))
    assert _drain(queue) == ["a", "b", "c"]
    assert len(queue) == 0


def test_interactive_runs_before_batch_even_of_another_user() -> None:
    queue = FairQueue()
    queue.add(_job("batch", "alice", interactive=False, rank=0))
    queue.add(_job("now", "bob", rank=5))
    assert _drain(queue) == ["now", "batch"]


def test_a_batch_job_that_waited_long_counts_as_interactive() -> None:
    queue = FairQueue()
    queue.add(_job("old", interactive=False, rank=0, since=0.0))
    queue.add(_job("new", rank=1, since=AGEING))
    assert _drain(queue, now=AGEING + 1) == ["old", "new"]


def test_users_take_turns() -> None:
    queue = FairQueue()
    for at in range(3):
        queue.add(_job(f"a{at}", "alice", rank=at))
    queue.add(_job("b0", "bob", rank=9))
    names: list[str] = []
    while (job := queue.take(0.0)) is not None:
        names.append(job.job)
        queue.charge(job.user, 30.0)
    assert names == ["a0", "b0", "a1", "a2"]


@pytest.mark.parametrize("seed", range(5))
def test_shares_of_time_are_equal_whatever_the_length_of_jobs(seed: int) -> None:
    draw = random.Random(seed)
    lengths = {"alice": 2.0, "bob": 11.0, "carol": 57.0, "dave": 31.0}
    queue, spent, clock = FairQueue(), dict.fromkeys(lengths, 0.0), 0.0
    for user in lengths:
        for at in range(2):
            queue.add(_job(f"{user}{at}", user, rank=at))
    number = 10
    while clock < 20_000:
        job = queue.take(clock)
        assert job is not None
        seconds = lengths[job.user] * draw.uniform(0.7, 1.3)
        queue.charge(job.user, seconds)
        spent[job.user] += seconds
        clock += seconds
        queue.add(_job(f"{job.user}{number}", job.user, rank=number))
        number += 1
    share = clock / len(lengths)
    assert all(abs(seconds - share) < 0.1 * share for seconds in spent.values()), spent


def test_who_was_away_saved_nothing_and_keeps_the_debt() -> None:
    queue = FairQueue(quantum=10)
    queue.add(_job("a0", "alice"))
    assert queue.take(0.0) is not None
    queue.charge("alice", 500.0)
    for at in range(20):
        queue.add(_job(f"b{at}", "bob", rank=at))
    queue.add(_job("a1", "alice"))
    names: list[str] = []
    while len(names) < 10 and (job := queue.take(0.0)) is not None:
        names.append(job.job)
        queue.charge(job.user, 10.0)
    assert names == [f"b{at}" for at in range(10)]


def test_a_paused_job_waits_until_it_may_go_on() -> None:
    queue = FairQueue()
    queue.add(_job("a"))
    assert queue.set_paused("alice", "a", True)
    assert queue.take(0.0) is None
    assert queue.set_paused("alice", "a", False)
    assert _drain(queue) == ["a"]
    assert not queue.set_paused("alice", "a", True)


def test_reorder_puts_a_job_before_another_or_last() -> None:
    queue = FairQueue()
    for at, name in enumerate("abcd"):
        queue.add(_job(name, rank=10 * at))
    assert dict(queue.reorder("alice", "d", "b") or []) == {"d": 10, "b": 20, "c": 30}
    assert dict(queue.reorder("alice", "a", None) or []) == {"d": 0, "b": 10, "c": 20, "a": 30}
    assert queue.reorder("alice", "d", "d") is not None
    assert _drain(queue) == ["b", "c", "a", "d"]


def test_reorder_knows_only_the_users_own_waiting_jobs() -> None:
    queue = FairQueue()
    queue.add(_job("a", "alice"))
    queue.add(_job("b", "bob"))
    assert queue.reorder("alice", "b", None) is None
    assert queue.reorder("alice", "a", "b") is None
    assert queue.reorder("carol", "a", None) is None


def test_reorder_makes_equal_ranks_distinct() -> None:
    queue = FairQueue()
    for name in "abc":
        queue.add(_job(name, rank=7))
    queue.reorder("alice", "c", "a")
    assert _drain(queue)[0] == "c"


def test_removing_a_job() -> None:
    queue = FairQueue()
    queue.add(_job("a"))
    assert "a" in queue
    assert queue.remove("alice", "a")
    assert not queue.remove("alice", "a")
    assert "a" not in queue
    assert queue.take(0.0) is None


def test_positions_follow_turns_and_put_paused_jobs_last() -> None:
    queue = FairQueue()
    for at in range(2):
        queue.add(_job(f"a{at}", "alice", rank=at))
    queue.add(_job("b0", "bob"))
    queue.add(_job("c0", "carol", interactive=False))
    queue.add(_job("p", "alice"))
    queue.set_paused("alice", "p", True)
    assert queue.positions(0.0) == {"a0": 0, "b0": 1, "a1": 2, "c0": 3, "p": 4}


@pytest.mark.parametrize("spent", [10.0, 10.5])
def test_who_has_nothing_left_waits_while_another_has(spent: float) -> None:
    queue = FairQueue(quantum=10)
    for at in range(3):
        queue.add(_job(f"a{at}", "alice", rank=at))
        queue.add(_job(f"b{at}", "bob", rank=at))
    names: list[str] = []
    for seconds in (spent, 1.0, 1.0):
        job = queue.take(0.0)
        assert job is not None
        names.append(job.job)
        queue.charge(job.user, seconds)
    assert names == ["a0", "b0", "b1"]


def test_a_newcomer_begins_without_a_debt() -> None:
    queue = FairQueue(quantum=0.25)
    for at in range(2):
        queue.add(_job(f"a{at}", "alice", rank=at))
    assert queue.take(0.0) is not None
    queue.charge("alice", 0.75)
    queue.add(_job("b", "bob"))
    assert _drain(queue) == ["b", "a1"]


def test_who_waits_is_counted_without_what_is_paused() -> None:
    queue = FairQueue()
    queue.add(_job("batch", "alice", interactive=False))
    queue.add(_job("held", "bob"))
    queue.set_paused("bob", "held", True)
    assert (len(queue), queue.runnable(), queue.interactive(), queue.interactive_users()) == (2, 1, 0, set())
    queue.set_paused("bob", "held", False)
    assert (len(queue), queue.runnable(), queue.interactive(), queue.interactive_users()) == (2, 2, 1, {"bob"})
