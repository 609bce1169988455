# SPDX-License-Identifier: Apache-2.0
"""A small slice of the soak, and of its judgement. Times are the machine's."""

import pytest

from tests.benchmarks import server_soak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_two_clients_work_beside_a_hostile_one():
    table = server_soak.measure(minutes=0.6, niceness=0)
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
