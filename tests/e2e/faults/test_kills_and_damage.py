# SPDX-License-Identifier: Apache-2.0
"""A slice of the kills with damage between; `python -m tests.e2e.faults.damage_harness` does as many as one likes."""

import random

import pytest

from tests.e2e.faults.damage_harness import DamageHarness, Round, summary
from tests.e2e.faults.damaged_server import damage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("warm_processes")]


def test_kills_and_damage_lose_nothing_else(tmp_path):
    rounds: list[Round] = []
    DamageHarness(tmp_path, seed=3).run(range(2), 2, rounds.append)
    table = summary(rounds)
    assert table["promises_broken"] == []
    assert table["damages"] == 2
    assert table["jobs_accepted"] == 6
    told = table["jobs_that_say_that_they_were_damaged"] + table["jobs_unknown_after_damage_to_the_journal"]
    assert table["jobs_succeeded_with_equal_bytes"] + told == 6


def test_a_damaged_specification_costs_its_job_and_says_so(tmp_path):
    rounds: list[Round] = []
    DamageHarness(tmp_path, seed=4).run(range(1), 1, rounds.append, choose="spec.msgpack")
    assert rounds[0].broken == []
    assert rounds[0].damaged.endswith("spec.msgpack")
    assert all("specification" in text for text in rounds[0].failed)


def test_damage_is_damage_and_the_same_for_the_same_seed(tmp_path):
    whole, found = b"0123456789" * 50, []
    for seed in [*range(30), *range(30)]:
        root = tmp_path / str(len(found))
        (root / "quarantine").mkdir(parents=True)
        for file in ("one", "two", "quarantine/old"):
            (root / file).write_bytes(whole)
        path, how = damage(random.Random(seed), root)
        data = (root / path).read_bytes() if (root / path).exists() else None
        assert data != whole
        assert (root / "quarantine" / "old").read_bytes() == whole
        found.append((path, how, data))
    assert found[:30] == found[30:]
    assert {how for _path, how, _data in found} == {"flipped bits in", "cut", "deleted", "damaged"}
