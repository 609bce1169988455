# SPDX-License-Identifier: Apache-2.0
"""A job on a server, followed to its end by whoever waits at a terminal: of a texture or of a new shape."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from blender_addon import client as wire
from pgc.remote.events import JobEvents, RemoteError
from pgc.runs.report import RunState
from pgc.runs.request import Progress

__all__ = ["RemoteHooks", "RemoteRun", "follow"]

_POLL = 0.1
_CANCEL_SECONDS = 90.0
"""For the step that runs, or another worker's start, and the result."""
_CANCEL_SECONDS_AWAY = 8.0
"""Where nobody is connected."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RemoteHooks:
    """How the caller follows a run and ends it."""

    progress: Progress = lambda stage, fraction: None
    say: Callable[[str], None] = lambda text: None
    on_step: Callable[[wire.JobProgress], None] = lambda progress: None
    on_preview: Callable[[Path], None] = lambda path: None
    on_submitted: Callable[[], None] = lambda: None
    """Once, when the server has the job."""
    should_stop: Callable[[], bool] = lambda: False


@runtime_checkable
class RunFiles(Protocol):
    """What a run writes here while it goes on there."""

    server: dict[str, Any]
    """What the report says of the server: key, job."""
    notices: list[str]
    steps_done: int

    def write_report(self, state: RunState) -> object:
        """Writes run.json as things stand."""

    def show(self, event: wire.JobPreview | wire.JobShapePreview) -> Path | None:
        """Takes a preview in; returns the picture where one was written."""


Files = TypeVar("Files", bound=RunFiles)


@dataclass(slots=True, kw_only=True, eq=False)
class RemoteRun(Generic[Files]):
    """A job that was submitted: its key at the server, and its files here."""

    key: str
    files: Files
    resumed: bool = False
    """Whether its report was there before; it stays as it is until the server has the job."""
    was_finished: bool = False
    """Whether that report says that it was finished; it stays, and so do its files, until there is another result."""
    job: str | None = None
    cancelling_since: float | None = None


def follow(events: JobEvents, run: RemoteRun[Any], hooks: RemoteHooks) -> wire.JobFinished | wire.JobCancelled | None:
    """Waits for a run's end and shows what happens; returns None where the server does not answer to a cancel.

    Raises:
        RemoteError: the job failed, or there is no server.
    """
    while True:
        _cancel_if_asked(events, run, hooks)
        event = events.next(run.key, _POLL)
        match event:
            case wire.JobFinished() | wire.JobCancelled():
                return event
            case wire.JobFailed() if event.error.code is wire.ErrorCode.INPUT_CONFLICT:
                raise RemoteError(
                    "The run in --out was begun on the server with another file, prompt or choice; go on with those in "
                    "its run.json, or start a new run in another folder."
                )
            case wire.JobFailed():
                if not run.was_finished and (run.job is not None or not run.resumed):
                    run.files.write_report("failed")
                raise RemoteError.of(event.error)
            case None:
                if _waited_enough(events, run):
                    return None
            case _:
                _show(run, event, hooks)


def _cancel_if_asked(events: JobEvents, run: RemoteRun[Any], hooks: RemoteHooks) -> None:
    if run.job is not None and run.cancelling_since is None and hooks.should_stop():
        run.cancelling_since = time.monotonic()
        events.client.cancel(run.job)
        hooks.say("Cancelling; the server keeps what it has made. Ctrl-C once more leaves at once.")


def _waited_enough(events: JobEvents, run: RemoteRun[Any]) -> bool:
    if run.cancelling_since is None:
        return False
    limit = _CANCEL_SECONDS_AWAY if events.away else _CANCEL_SECONDS
    return time.monotonic() - run.cancelling_since > limit


def _show(run: RemoteRun[Any], event: wire.Event, hooks: RemoteHooks) -> None:
    match event:
        case wire.Uploading() if event.total and event.done < event.total:
            hooks.progress("Uploading", event.done / event.total)
        case wire.JobAccepted():
            run.job = run.files.server["job"] = event.job
            if not run.was_finished:
                run.files.write_report("running")
            hooks.on_submitted()
            if event.position > 0:
                hooks.say(f"Waiting: {event.position} job(s) before this one.")
        case wire.JobProgress():
            run.files.steps_done = event.step
            hooks.on_step(event)
        case wire.JobNotice():
            run.files.notices.append(event.text)
            hooks.say(f"Note: {event.text}")
        case wire.JobPreview() | wire.JobShapePreview():
            if (picture := run.files.show(event)) is not None:
                hooks.on_preview(picture)
        case wire.Downloading():
            hooks.progress("Fetching the result", event.done / max(1, event.total))
        case _:
            pass
