# SPDX-License-Identifier: Apache-2.0
"""Jobs that the client follows: attach, go on after a loss, fetch what came out, once. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..protocol.errors import ErrorCode, Retry, WireError
from ..protocol.messages import (
    Attach,
    Detach,
    Error,
    EventKind,
    JobEvent,
    JobInfo,
    JobResult,
    JobState,
    MapFile,
    ResultAck,
    Snapshot,
)
from .answers import unexpected
from .events import (
    Downloading,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobNotice,
    JobProgress,
    JobStateChanged,
)
from .requests import Answer, Channel, Port
from .transfer.downloads import Download, Downloads

__all__ = ["Jobs"]

_ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass
class _Job:
    job: str
    key: str | None
    last_seq: int
    download: bool
    attaching: bool = False
    state: JobState | None = None
    ended: bool = False
    """The end was seen; only the files may still be on their way."""
    files: dict[MapFile, bytes] = field(default_factory=dict[MapFile, bytes])
    config: bytes = b""
    missing: int = 0
    done: int = 0
    result: JobResult | None = None
    error: WireError | None = None


class Jobs:
    """Every followed job gives any number of progress events and exactly one end."""

    def __init__(self, port: Port, downloads: Downloads) -> None:
        self._port = port
        self._downloads = downloads
        self._jobs: dict[str, _Job] = {}
        self._open = False

    def follow(self, job: str, key: str | None, after_seq: int = 0, *, download: bool = True) -> None:
        """Attaches to a job, and hears of all that happened to it after `after_seq`."""
        known = self._jobs.get(job)
        if known is not None:
            known.key = known.key or key
            return
        self._jobs[job] = _Job(job, key, after_seq, download)
        if self._open:
            self._attach(self._jobs[job])

    def unfollow(self, job: str) -> None:
        """Stops following a job; it goes on."""
        if self._jobs.pop(job, None) is not None:
            self._port.ask(Channel.CTL, Detach(job=job), lambda answer: None, again=False)

    def follows(self, job: str) -> bool:
        """Says whether a job is followed and has not ended."""
        known = self._jobs.get(job)
        return known is not None and not known.ended

    def closed(self) -> None:
        """Takes note that the connection is gone: every job must be attached to anew."""
        self._open = False
        for known in self._jobs.values():
            known.attaching = False

    def opened(self) -> None:
        """Attaches to every job that has not ended, since the control channel stands."""
        self._open = True
        for known in list(self._jobs.values()):
            if not known.ended:
                self._attach(known)

    def received(self, event: JobEvent) -> None:
        """Handles an event that came in by itself."""
        known = self._jobs.get(event.job)
        if known is None or known.ended or known.attaching:
            # While a snapshot is on its way, it will hold this event too.
            return
        if event.kind is not EventKind.PROGRESS and event.seq > known.last_seq + 1:
            # One was lost: ask for all that came after the last one known.
            self._attach(known)
            return
        self._apply(known, event)

    def _attach(self, known: _Job) -> None:
        if known.attaching:
            return
        known.attaching = True
        message = Attach(job=known.job, after_seq=known.last_seq)
        self._port.ask(Channel.CTL, message, lambda answer: self._on_snapshot(known, answer), again=False)

    def _on_snapshot(self, known: _Job, answer: Answer) -> None:
        if self._jobs.get(known.job) is not known or known.ended:
            return
        known.attaching = False
        message = answer.message
        if not isinstance(message, Snapshot):
            known.error = message.error if isinstance(message, Error) else unexpected(message)
            known.state = JobState.FAILED
            self._finish(known)
            return
        known.key = known.key or message.info.key
        for event in message.events:
            if not known.ended:
                self._apply(known, event)
        if not known.ended:
            self._catch_up(known, message.info, message.result)

    def _catch_up(self, known: _Job, info: JobInfo, result: JobResult | None) -> None:
        """What the state says beyond the events, which the server may keep for a while only."""
        if info.state in _ENDED:
            self._ended(known, info.state, info.error, result)
            return
        if info.state is not known.state:
            known.state = info.state
            self._port.emit(JobStateChanged(known.job, known.key, info.state, info.position))
        if info.step:
            self._port.emit(JobProgress(known.job, info.step, info.steps))

    def _apply(self, known: _Job, event: JobEvent) -> None:
        if event.kind is EventKind.PROGRESS:
            self._port.emit(JobProgress(known.job, event.step, event.steps, event.eta_s))
            return
        if event.seq <= known.last_seq:
            return
        known.last_seq = event.seq
        if event.kind is EventKind.NOTICE:
            if event.text:
                self._port.emit(JobNotice(known.job, event.text))
        elif event.state in _ENDED:
            self._ended(known, event.state, event.error, event.result)
        else:
            known.state = event.state
            self._port.emit(JobStateChanged(known.job, known.key, event.state, text=event.text))

    def _ended(self, known: _Job, state: JobState, error: WireError | None, result: JobResult | None) -> None:
        known.state, known.result, known.error = state, result, error
        if state is not JobState.FAILED and result is not None and known.download:
            known.ended = True
            self._fetch(known, result)
        else:
            self._finish(known)

    def _fetch(self, known: _Job, result: JobResult) -> None:
        total = sum(item.bytes for item in result.maps)
        known.missing = len(result.maps) + 1

        def on_bytes(count: int) -> None:
            known.done += count
            self._port.emit(Downloading(known.job, min(known.done, total), total))

        def on_error(error: WireError) -> None:
            if known.missing <= 0:
                return
            known.missing = -1
            known.files, known.config = {}, b""
            if known.state is JobState.SUCCEEDED:
                known.state, known.error = JobState.FAILED, error
            self._finish(known)

        def arrived() -> None:
            known.missing -= 1
            if known.missing == 0:
                self._finish(known)

        def on_config(data: bytes) -> None:
            known.config = data
            arrived()

        for item in result.maps:
            self._downloads.add(_map_download(known, item, arrived, on_error, on_bytes))
        self._downloads.add(Download(result.config_json_sha256, None, on_config, on_error))

    def _finish(self, known: _Job) -> None:
        """The one end of a job."""
        known.ended = True
        if known.result is not None:
            # As the server named them, not as they came.
            known.files = {item: known.files[item] for item in known.result.maps if item in known.files}
        self._jobs.pop(known.job, None)
        if known.state is JobState.CANCELLED:
            self._port.emit(JobCancelled(known.job, known.key, known.result, known.files, known.config))
        elif known.state is JobState.SUCCEEDED and known.result is not None:
            self._port.emit(JobFinished(known.job, known.key, known.result, known.files, known.config))
        else:
            self._port.emit(JobFailed(known.job, known.key, known.error or _no_reason(known.state)))
        if known.files:
            # Only now may the server let go of what belongs to the run.
            self._port.ask(Channel.CTL, ResultAck(job=known.job), lambda answer: None)


def _map_download(
    known: _Job,
    item: MapFile,
    arrived: Callable[[], None],
    on_error: Callable[[WireError], None],
    on_bytes: Callable[[int], None],
) -> Download:
    def on_done(data: bytes) -> None:
        known.files[item] = data
        arrived()

    return Download(item.sha256, item.bytes, on_done, on_error, on_bytes)


def _no_reason(state: JobState | None) -> WireError:
    return WireError(
        code=ErrorCode.INTERNAL,
        retry=Retry.SAME,
        text=f"The server says that the job is {state or 'unknown'}, but gives neither a result nor a reason.",
        hint="Run the job again; the server's log says more: pgc-server logs",
    )
