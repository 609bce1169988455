# SPDX-License-Identifier: GPL-3.0-or-later
"""From the client's events and the artist's clicks to what the panel shows. Pure: no Blender, no sockets.

Each function changes the state and returns what is to be done in Blender or asked of the client, in order.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TypeAlias

from ..client import (
    ClientFailed,
    Connected,
    Disconnected,
    Downloading,
    ErrorCode,
    Event,
    JobAccepted,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobList,
    JobNotice,
    JobPreview,
    JobProgress,
    JobShapePreview,
    JobState,
    JobStateChanged,
    Refused,
    RequestFailed,
    ServerStartFailed,
    ServerStarting,
    Uploading,
    WireError,
)
from . import problems
from .conditions.shapes import operator_of
from .effects import Deliver, Effect, Ended, Follow, Remember, SendCancel, ShowPreview, ShowShape
from .recent_results import completed_request
from .state import AppState, JobView, Phase, Problem, ServerState
from .timings import learn_timings

__all__ = [
    "Deliver",
    "Effect",
    "Ended",
    "Follow",
    "Remember",
    "SendCancel",
    "ShowPreview",
    "ShowShape",
    "cancelled_by_artist",
    "failed_by_defect",
    "reduce_event",
    "start_failed",
    "stopped_by_artist",
]


_ServerEvent: TypeAlias = ServerStarting | ServerStartFailed | Connected | Disconnected | Refused | ClientFailed


def reduce_event(state: AppState, event: Event) -> Sequence[Effect]:
    """Takes one event into the state, and returns what is to be done for it."""
    state.changed()
    match event:
        case ServerStarting() | ServerStartFailed() | Connected() | Disconnected() | Refused() | ClientFailed():
            return _server(state, event)
        case RequestFailed():
            return _request_failed(state, event)
        case JobList():
            state.server.jobs = event.jobs
            return ()
        case Uploading() | JobAccepted():
            view = state.jobs.get(event.key)
        case JobFailed():
            view = state.jobs.get(event.key or "") or state.job_of(event.job)
        case JobStateChanged() | JobProgress() | JobNotice() | JobPreview() | JobShapePreview() | Downloading():
            view = state.job_of(event.job)
        case JobFinished() | JobCancelled():
            view = state.job_of(event.job) or state.jobs.get(event.key or "")
        case _:
            return ()
    if view is None:
        return ()
    if not view.live:
        return _too_late(view, event)
    return _job(state, view, event)


def start_failed(state: AppState, text: str) -> None:
    """Takes note that the server that the artist had started did not come up."""
    reduce_event(state, ServerStartFailed(text))


def failed_by_defect(state: AppState, event: Event, problem: Problem) -> Sequence[Effect]:
    """Takes note that an event could not be handled, by a defect of ours: where it was a job's last one, the job has
    failed here.
    """
    if not isinstance(event, JobFinished | JobCancelled | JobFailed):
        return ()
    view = state.jobs.get(event.key or "") or state.job_of(event.job)
    if view is None or not view.live:
        return ()
    view.phase, view.problem = Phase.FAILED, problem
    state.problem = None
    state.changed()
    return (Ended(view.key),)


def cancelled_by_artist(state: AppState, key: str) -> Sequence[Effect]:
    """Handles a click on Cancel: the job ends at once for the artist, whatever the connection does.

    Where the server may still give the partial result, the view stays, with its preview taken off.
    """
    view = state.jobs.get(key)
    if view is None or not view.live or view.cancelling or view.phase is Phase.APPLYING:
        return ()
    state.changed()
    view.cancelling = True
    if not view.paints:
        # There is nothing of it to be kept: a version has room for a look, not for a mesh.
        view.phase, view.note, view.files = Phase.CANCELLED, "Cancelled.", {}
        return (Ended(key), *(() if view.job is None else (SendCancel(view.job),)))
    # A result that waits here has nothing left to cancel on the server.
    send = () if view.job is None or view.phase is Phase.HELD else (SendCancel(view.job),)
    if not send or state.server.state is not ServerState.READY:
        view.phase, view.note, view.files = Phase.CANCELLED, "Cancelled.", {}
    return (Ended(key), *send)


def stopped_by_artist(state: AppState, key: str) -> Sequence[Effect]:
    """Handles a click on Stop and Keep: the job ends with what there is, which is put on the mesh when it comes."""
    view = state.jobs.get(key)
    if view is None or not view.stoppable:
        return ()
    state.changed()
    view.stopping = True
    return (SendCancel(view.job),) if view.job is not None else ()


def _server(state: AppState, event: _ServerEvent) -> Sequence[Effect]:
    server = state.server
    match event:
        case ServerStarting():
            server.state, server.problem = ServerState.STARTING, None
        case Connected():
            server.state, server.name, server.draining = ServerState.READY, event.server, event.draining
            server.devices, server.models, server.maps = event.devices, event.models, event.maps
            server.jobs, server.limits = event.jobs, event.limits
            server.problem = problems.draining_problem() if event.draining else None
            return _find_again(state, event)
        case Disconnected():
            return _disconnected(state, event)
        case Refused():
            server.state, server.problem = ServerState.REFUSED, problems.of_error(event.error)
        case ServerStartFailed():
            server.state, server.problem = ServerState.ABSENT, problems.start_problem(event.text)
        case ClientFailed():
            server.state, server.problem = ServerState.BROKEN, problems.broken_problem(event.text)
            return _lose_cancelling(state)
    return ()


def _disconnected(state: AppState, event: Disconnected) -> Sequence[Effect]:
    server = state.server
    # While a server comes up, and after one did not, there is something better to say than that none answers.
    keeps = server.state is ServerState.STARTING or (
        server.state is ServerState.ABSENT and server.problem not in (None, problems.absent_problem())
    )
    if event.absent and keeps:
        return ()
    if event.absent:
        server.state, server.problem = ServerState.ABSENT, problems.absent_problem()
    else:
        server.state, server.problem = ServerState.CONNECTING, problems.connection_problem(event.reason)
    return _lose_cancelling(state)


def _lose_cancelling(state: AppState) -> Sequence[Effect]:
    """Jobs whose Cancel is under way end here: the client tells the server when it is back."""
    for view in state.live():
        if view.cancelling:
            view.phase, view.note = Phase.CANCELLED, "Cancelled."
    return ()


def _lose_stopping(state: AppState, event: RequestFailed) -> Sequence[Effect]:
    """Jobs that were to keep what there is, and that the server does not know."""
    lost = [view for view in state.live() if view.stopping]
    for view in lost:
        view.phase, view.problem = Phase.FAILED, problems.of_error(event.error)
    return tuple(Ended(view.key) for view in lost)


def _find_again(state: AppState, event: Connected) -> Sequence[Effect]:
    """Jobs of the .blend that had no name yet when Blender closed."""
    by_key = {info.key: info for info in event.jobs}
    effects: list[Effect] = []
    for view in state.live():
        if view.phase is not Phase.FOUND or view.job is not None:
            continue
        if view.key in by_key:
            view.job = by_key[view.key].job
            effects += [Remember(view.key), Follow(view.job)]
        else:
            view.phase, view.problem = Phase.FAILED, _again(view, problems.forgotten_problem())
            effects.append(Ended(view.key))
    return effects


def _request_failed(state: AppState, event: RequestFailed) -> Sequence[Effect]:
    if event.error.code in (ErrorCode.JOB_FINISHED, ErrorCode.JOB_UNKNOWN):
        # The end that was asked for has come already; a job that nobody knows gives no event of its own.
        unknown = event.error.code is ErrorCode.JOB_UNKNOWN
        return (*_lose_cancelling(state), *_lose_stopping(state, event)) if unknown else ()
    state.problem = problems.of_error(event.error)
    return ()


def _too_late(view: JobView, event: Event) -> Sequence[Effect]:
    """What comes of a job that has ended for the artist."""
    match event:
        case JobAccepted() if view.phase is Phase.CANCELLED:
            view.job = event.job
            return (SendCancel(event.job),)
        case JobCancelled() | JobFinished() if event.maps and view.phase is Phase.CANCELLED and view.paints:
            view.files, view.config, view.partial = event.maps, event.config, isinstance(event, JobCancelled)
            view.phase = Phase.APPLYING
            return (Deliver(view.key),)
        case _:
            return ()


def _job(state: AppState, view: JobView, event: Event) -> Sequence[Effect]:
    match event:
        case Uploading():
            view.fraction = event.done / event.total if event.total else 1.0
        case JobAccepted():
            view.job, view.position, view.phase = event.job, event.position, Phase.QUEUED
            return (Remember(view.key),)
        case JobStateChanged():
            view.phase = Phase.RUNNING if event.state is JobState.RUNNING else Phase.QUEUED
            view.position = event.position if event.position is not None else view.position
            view.note = event.text or ""
        case JobProgress():
            view.phase, view.step, view.steps, view.eta_s = Phase.RUNNING, event.step, event.steps, event.eta_s
        case JobNotice():
            view.note = event.text
        case JobPreview() | JobShapePreview():
            return _preview(view, event)
        case Downloading():
            view.phase, view.fraction = Phase.RECEIVING, event.done / event.total if event.total else 1.0
        case JobFinished() | JobCancelled() | JobFailed():
            return _end(state, view, event)
        case _:
            pass
    return ()


def _preview(view: JobView, event: JobPreview | JobShapePreview) -> Sequence[Effect]:
    if view.phase in (Phase.APPLYING, Phase.HELD) or view.cancelling:
        return ()
    view.phase = Phase.RUNNING if view.phase in (Phase.QUEUED, Phase.FOUND) else view.phase
    if isinstance(event, JobShapePreview):
        return (ShowShape(view.key, event),)
    if event.map == "base_color":
        view.thumbnail = event.image
    return (ShowPreview(view.key, event),)


def _end(state: AppState, view: JobView, event: JobFinished | JobCancelled | JobFailed) -> Sequence[Effect]:
    view.seconds = time.monotonic() - view.started
    match event:
        case JobFailed():
            view.phase, view.problem = Phase.FAILED, _problem(view, event.error)
            return (Ended(view.key),)
        case JobCancelled() if not event.maps:
            view.phase, view.note = Phase.CANCELLED, "Cancelled. There was nothing to keep yet."
            view.nothing_kept = True
            return (Ended(view.key),)
        case JobFinished() if not event.maps:
            view.phase, view.problem = Phase.FAILED, _again(view, problems.empty_problem())
            return (Ended(view.key),)
        case JobFinished():
            view.note = " ".join(event.result.warnings)
            if view.steps and view.paints:
                learn_timings(state, view.request, view.steps, event.result)
        case _:
            pass
    view.partial = isinstance(event, JobCancelled)
    view.request = completed_request(view.request, event.config)
    view.phase, view.files, view.config = Phase.APPLYING, event.maps, event.config
    return (Deliver(view.key),)


def _problem(view: JobView, error: WireError) -> Problem:
    if view.unwrap is not None:
        return problems.unwrap_problem(error)
    if view.reshapes:
        return problems.shape_problem(error, view.request.model, again=operator_of(view.request.shape))
    return problems.of_error(error, view.request.model)


def _again(view: JobView, problem: Problem) -> Problem:
    return problems.of_shape(problem, again=operator_of(view.request.shape)) if view.reshapes else problem
