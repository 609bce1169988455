# SPDX-License-Identifier: Apache-2.0
"""A slice of the fuzzing; `tests/benchmarks/fuzz_protocol.py` runs as many cases as one likes."""

import pytest

from tests.blender_addon.protocol.mutations import Judge, Mutator

CASES = 20_000


@pytest.mark.slow
def test_damaged_messages_get_a_typed_error():
    mutator, judge = Mutator(seed=1), Judge()
    for _ in range(CASES):
        case = mutator.case()
        if judge.look(case):
            mutator.keep(case)
    assert judge.failures == []
    assert judge.slowest < 2
    # It does not only knock at the door.
    assert judge.outcomes["accepted"] > CASES / 50
    assert judge.outcomes["INPUT.INVALID"] > CASES / 10
    assert judge.outcomes["INPUT.UNKNOWN_FIELD"] > CASES / 500
    assert len(judge.seen) > 300


def test_the_judge_sees_what_must_not_be(monkeypatch):
    mutator, judge = Mutator(seed=2), Judge()
    monkeypatch.setattr("tests.blender_addon.protocol.mutations.decode", lambda frames: [][1])
    with pytest.raises(IndexError):
        judge.look(mutator.case())
    assert "IndexError" in judge.failures[0]


def test_the_same_seed_gives_the_same_cases():
    first, second = Mutator(seed=3), Mutator(seed=3)
    assert [first.case() for _ in range(50)] == [second.case() for _ in range(50)]
