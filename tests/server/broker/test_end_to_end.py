# SPDX-License-Identifier: Apache-2.0
"""A real broker with real sockets and processes that only pretend to work."""

import uuid

import pytest

from blender_addon.protocol.messages import (
    Cancel,
    Chunk,
    Done,
    Get,
    JobState,
    Ping,
    Pong,
    Preview,
    ResultAck,
    Submit,
)
from tests.server.broker.rig import Client, Rig, error_of, spec


def test_a_job_from_upload_to_result(client: Client) -> None:
    job = client.submit("steps=5")
    events = client.events(job)
    assert [event.state for event in events if event.kind.value == "state"] == ["queued", "running", "succeeded"]
    assert [event.seq for event in events if event.kind.value == "state"] == [1, 2, 3]
    result = events[-1].result
    chunk_id = client.post(Get(result.maps[0].sha256, 0, 1000), bulk=True)
    while True:
        envelope = client.receive()
        if envelope.re == chunk_id:
            break
        client.unasked.append(envelope)
    assert isinstance(envelope.message, Chunk)
    assert bytes(envelope.buffers[0]) == b"image of " + job.encode()
    assert isinstance(client.ask(ResultAck(job)), Done)
    previews = [envelope for envelope in client.unasked if isinstance(envelope.message, Preview)]
    assert previews
    assert len(previews[0].buffers[0]) == 8 * 8 * 3


def test_a_running_job_is_cancelled(client: Client) -> None:
    job = client.submit("steps=1000")
    client.events(job, until=lambda event: event.step > 2)
    assert isinstance(client.ask(Cancel(job)), Done)
    assert client.events(job)[-1].state is JobState.CANCELLED
    assert isinstance(client.ask(Cancel(job)), Done)


def test_a_worker_that_hangs_is_ended_after_a_cancel(client: Client) -> None:
    job = client.submit("hang")
    client.events(job, until=lambda event: event.state is JobState.RUNNING)
    assert isinstance(client.ask(Cancel(job)), Done)
    assert client.events(job)[-1].state is JobState.CANCELLED
    assert client.events(client.submit())[-1].state is JobState.SUCCEEDED


def test_the_gates_path_reaches_the_artist(client: Client) -> None:
    answer = client.ask(Submit(uuid.uuid4().hex, spec("gate-no")))
    assert error_of(answer) == "INPUT.INVALID"
    assert answer.error.field == "meshes[0].faces[12]"


@pytest.mark.slow
def test_a_killed_worker_costs_a_try_and_the_third_one_the_job(client: Client) -> None:
    events = client.events(client.submit("steps=5 die-once=3"))
    assert events[-1].state is JobState.SUCCEEDED
    assert events[-1].step == 5
    poisoned = client.events(client.submit("steps=5 die=3"))
    assert poisoned[-1].error.code.value == "JOB.POISONED"
    assert client.events(client.submit())[-1].state is JobState.SUCCEEDED


def test_a_ping_is_answered(client: Client) -> None:
    assert client.ask(Ping(7)) == Pong(7)
    assert client.ask(Ping(8), bulk=True) == Pong(8)


@pytest.mark.slow
def test_a_drained_server_takes_the_job_up_again(rig: Rig, client: Client) -> None:
    key = uuid.uuid4().hex
    job = client.submit("steps=40 sleep=0.02", key=key)
    client.events(job, until=lambda event: event.step > 3)
    rig.stop()
    assert not rig.paths.connection.exists()
    rig.start()
    again = rig.client()
    assert again.submit("steps=40 sleep=0.02", key=key) == job
    events = again.events(job)
    assert events[-1].state is JobState.SUCCEEDED
    kept = [event.seq for event in events if event.kind.value != "progress"]
    assert kept == list(range(1, len(kept) + 1))
    assert [event.state for event in events].count(JobState.SUCCEEDED) == 1
