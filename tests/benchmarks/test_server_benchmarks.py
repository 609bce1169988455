# SPDX-License-Identifier: Apache-2.0
"""A small slice of the server's benchmarks: they run, and nothing in them is absurd. Times are the machine's."""

import numpy as np
import pytest

from tests.benchmarks import server_bulk, server_load
from tests.benchmarks.conditions import Conditions, quantile
from tests.benchmarks.curve_echo import CurveEcho

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_quantiles_are_values_that_were_measured():
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [quantile(values, share) for share in (0.0, 0.2, 0.5, 0.95, 1.0)] == [1.0, 1.0, 3.0, 5.0, 5.0]


def test_the_conditions_tell_the_machine_and_its_load():
    found = Conditions().as_dict()
    assert {"commit", "processor", "cores", "load_before", "load_after", "idle_share"} <= found.keys()
    assert found["cores"] >= found["cores_allowed"] >= 1


def test_bulk_both_ways_beside_an_echo():
    table = server_bulk.measure(server_bulk.Load(triangles=20_000, size=256, rounds=1))
    for way in ("up", "down"):
        assert table[way]["product_median_mib_s"] > 0.0
        assert table[way]["echo_median_mib_s"] > table[way]["product_median_mib_s"] / 4
    assert table["control_meanwhile_ms"]["other_clients"]["count"] > 0
    for name in ("disk", "memory", "memory_again", "kept_echo", "literal_echo_up", "literal_echo_down"):
        assert table["floors"][f"{name}_median_mib_s"] > 0.0


def test_what_the_echo_keeps_is_what_came():
    with CurveEcho() as echo:
        room = np.zeros(4 * 1000, np.uint8)
        assert echo.kept(room, 1000, 2000) > 0.0
        assert len({room[at : at + 1000].tobytes() for at in range(0, 4000, 1000)}) == 1
        assert room.any()
        assert echo.back(10_000, 1000, 2000) > 0.0


def test_bulk_tells_what_it_missed():
    def table(share, p99):
        return {"up": {"share_median": share}, "down": {"share_median": 0.5}, "control_meanwhile_ms": {"all": p99}}

    fine = {"count": 3, "p99": 20.0}
    assert server_bulk.missed(table(0.4, fine)) == []
    assert len(server_bulk.missed(table(0.39, fine))) == 1
    assert len(server_bulk.missed(table(0.4, {"count": 3, "p99": 101.0}))) == 1
    assert len(server_bulk.missed(table(0.4, {"count": 0}))) == 1


def test_a_few_clients_and_one_that_hardly_reads():
    load = server_load.Load(clients=4, queued=4, streams=2, interval=0.1, preview_s=0.1, stretch=1.5, turns=1)
    table = server_load.measure(load)
    assert table["slow_client_exit_codes"] == [0]
    for name in ("without_slow", "with_slow"):
        assert table[name]["control_ms"]["count"] > 0
        assert table[name]["previews_per_s"] > 0.0
    assert set(table["by_kind_ms"]) == {"LIST", "PING", "STATUS"}
    assert table["broker_resident_mib"] < 300


def test_load_tells_what_it_missed():
    def table(p99=10.0, memory=50.0, slowed=1.0, kept=1.0):
        trips = {"control_ms": {"p99": p99}}
        figures = {"broker_resident_mib": memory, "slowed_by": slowed, "previews_kept": kept}
        return {"without_slow": trips, "with_slow": trips, **figures}

    assert server_load.missed(table()) == []
    assert len(server_load.missed(table(p99=51.0))) == 2
    assert len(server_load.missed(table(memory=301.0))) == 1
    assert len(server_load.missed(table(slowed=1.3))) == 1
    assert len(server_load.missed(table(kept=0.7))) == 1
