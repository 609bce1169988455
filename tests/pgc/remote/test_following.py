# SPDX-License-Identifier: Apache-2.0
"""What a report says while a job on a server is followed."""

from __future__ import annotations

from typing import Any

import pytest

from blender_addon import client as wire
from blender_addon.protocol.errors import Retry, WireError
from blender_addon.protocol.records import JobResult, JobState
from pgc.remote.events import JobEvents, RemoteError
from pgc.remote.following import RemoteHooks, RemoteRun, follow


class Files:
    """Reports that are written, in order."""

    def __init__(self) -> None:
        self.server: dict[str, Any] = {"key": "k"}
        self.notices: list[str] = []
        self.steps_done = 0
        self.written: list[str] = []

    def write_report(self, state: str) -> None:
        self.written.append(state)

    def show(self, event: object) -> None:
        return None


class Events(JobEvents):
    """A server that says these things."""

    def __init__(self, *said: wire.Event) -> None:
        self._said = iter(said)

    def next(self, key: str, timeout: float) -> wire.Event | None:
        return next(self._said)


ACCEPTED = wire.JobAccepted("j", "k", JobState.SUCCEEDED, 0, True)
FINISHED = wire.JobFinished("j", "k", JobResult((), "cd" * 32, 1.0))
FAILED = wire.JobFailed("j", "k", WireError(wire.ErrorCode.INPUT_INVALID, Retry.CHANGED, "No."))


@pytest.mark.parametrize(
    ("resumed", "was_finished", "expected"),
    [(False, False, ["running"]), (True, False, ["running"]), (True, True, [])],
)
def test_a_finished_run_stays_finished_until_there_is_another_result(resumed, was_finished, expected):
    run = RemoteRun(key="k", files=Files(), resumed=resumed, was_finished=was_finished)
    assert follow(Events(ACCEPTED, FINISHED), run, RemoteHooks()) is FINISHED
    assert run.files.written == expected
    assert run.files.server["job"] == "j"


@pytest.mark.parametrize(("was_finished", "expected"), [(False, ["running", "failed"]), (True, [])])
def test_a_finished_run_is_not_failed_by_another_try(was_finished, expected):
    run = RemoteRun(key="k", files=Files(), resumed=True, was_finished=was_finished)
    with pytest.raises(RemoteError, match=r"No\."):
        follow(Events(ACCEPTED, FAILED), run, RemoteHooks())
    assert run.files.written == expected
