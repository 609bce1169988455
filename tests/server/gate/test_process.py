# SPDX-License-Identifier: Apache-2.0
"""The gate as a process."""

from __future__ import annotations

import pytest

from server.children.messages import Beat, GateVerdict, Stop, Validate
from tests.server.children import FakeBroker


@pytest.fixture
def broker(stored_job):
    broker = FakeBroker(stored_job.paths, "gate")
    yield broker
    broker.close()


@pytest.mark.slow
def test_the_gate_judges_beats_and_ends_when_told(broker, stored_job):
    assert broker.ready.role == "gate"
    broker.send(Validate(stored_job.name))
    verdict = broker.wait_for(GateVerdict)
    assert verdict == GateVerdict(stored_job.name, True, None)
    stored_job.store.remove(stored_job.spec.meshes[0].faces.sha256)
    broker.send(Validate(stored_job.name))
    verdict = broker.wait_for(GateVerdict)
    assert not verdict.ok
    assert verdict.error.field == stored_job.spec.meshes[0].faces.sha256
    assert broker.wait_for(Beat, 5).step_counter == 2
    broker.send(Stop())
    assert broker.exit_code() == 0


@pytest.mark.slow
def test_the_gate_ends_with_its_broker(broker):
    broker.hang_up()
    assert broker.exit_code() == 0
