# SPDX-License-Identifier: Apache-2.0
"""A small slice of the cancel benchmark, with a real worker."""

import pytest

pytest.importorskip("torch")

from tests.benchmarks import server_cancel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_cancels_at_random_moments_end_each_job(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    table = server_cancel.measure(server_cancel.Load(cancels=4, within=0.4, hangs=0))
    assert sum(table["phases"].values()) == table["cancels"] == 4
    assert 0.0 < table["cancel_ms"]["median"] <= table["cancel_ms"]["most"]
    assert server_cancel.missed({**table, "target_p95_ms": 1e6}) == []
    assert len(server_cancel.missed({**table, "target_p95_ms": 0.0})) == 1


def test_a_hang_that_lasts_too_long_is_told():
    table = {"cancel_ms": {"p95": 1.0}, "target_p95_ms": 2.0, "hang_gone_s": {"lock": [4.9], "free": [3.0, 5.1]}}
    assert server_cancel.missed(table) == ["hang, free: gone after 5.1 s; expected 5.0 at most"]
