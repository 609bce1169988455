# SPDX-License-Identifier: Apache-2.0
"""Small slices of the soak, the floods and the line before the gate, and how they are judged. Times are the
machine's."""

import pytest

from tests.benchmarks import gate_queue, server_floods, server_soak
from tests.benchmarks.flooder import Flooder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_two_clients_work_beside_a_hostile_one():
    table = server_soak.measure(minutes=0.45, niceness=0)
    assert table["good_clients_jobs"] == ["running", "running"]
    assert table["hostile_exit_code"] == 0
    assert sum(table["attacks"].values()) >= 3
    assert table["control_ms"]["count"] > 20
    assert table["broker_resident_most_mib"] < 300
    assert table["floor_ms"]["count"] > 0
    assert table["timer_late_ms"]["count"] > 0
    assert len(table["by_minute"]) == len(table["load_averages_by_minute"]) == 1


def test_what_was_missed_is_told():
    def table(p99=10.0, memory=80.0, jobs=("running", "running"), code=0, count=3):
        trips = {"count": count, "p99": p99}
        return {
            "control_ms": trips, "broker_resident_most_mib": memory, "good_clients_jobs": list(jobs),
            "hostile_exit_code": code,
        }  # fmt: skip

    assert server_soak.missed(table()) == []
    assert len(server_soak.missed(table(p99=51.0))) == 1
    assert len(server_soak.missed(table(count=0))) == 1
    assert len(server_soak.missed(table(memory=301.0))) == 1
    assert len(server_soak.missed(table(jobs=("running", "failed")))) == 1
    assert len(server_soak.missed(table(code=1))) == 1


def test_a_flood_costs_the_others_no_memory_and_their_pings_are_answered():
    row = server_floods.measure(Flooder.whole_messages_of_bytes, seconds=0.5)
    assert row["control_ms"]["count"] > 0
    assert row["bulk_ms"]["count"] > 0
    assert 0 < row["resident_before_mib"] <= row["resident_most_mib"] < 300


def test_floods_tell_what_they_missed():
    def table(p99=10.0, memory=80.0):
        return {"pings": {"control_ms": {"p99": p99}, "bulk_ms": {"p99": 10.0}, "resident_most_mib": memory}}

    assert server_floods.missed(table()) == []
    assert len(server_floods.missed(table(p99=51.0))) == 1
    assert len(server_floods.missed(table(memory=301.0))) == 1


def test_heavy_jobs_before_the_gate_are_taken_and_so_is_anothers_small_one():
    table = gate_queue.measure(jobs=3, meshes=4, mebibytes=1)
    assert (table["answered"], table["refused"]) == (3, 0)
