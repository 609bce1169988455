# SPDX-License-Identifier: Apache-2.0
"""The client: every call returns at once, and what comes of it arrives as events.

with Client(default_connection_file(), starter=ServerStarter()) as client:
    key = client.submit(spec, arrays)
    while not isinstance(event := client.events.get(timeout=1.0), JobFinished):
        ...
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy.typing as npt

from ..protocol.arrays import handed_over
from ..protocol.messages import (
    Cancel,
    Done,
    Drain,
    Error,
    FreeGpu,
    Jobs,
    ListJobs,
    MapFile,
    Message,
    MetricsText,
    Pause,
    Reorder,
    Resume,
    Status,
    StatusReport,
    Submit,
)
from ..protocol.messages import Metrics as MetricsRequest
from ..protocol.specs.job import TextureJobSpec
from .access.address import ServerAddress
from .access.starter import Starter
from .answers import unexpected
from .client_thread import ClientThread, Command
from .errors import ClientClosedError
from .event_queue import EventQueue
from .events import (
    Acknowledged,
    Fetched,
    JobList,
    Metrics,
    RequestFailed,
    ServerStatus,
)
from .events import Event as ClientEvent
from .link import SessionConfig
from .requests import Answer, Channel
from .session import Session
from .transfer.downloads import Download
from .transfer.uploads import Submission

__all__ = ["Client"]


class Client:
    """A connection to the server that mends itself. All methods may be called from any thread, and none of them waits.

    Args:
        source: the server's connection file, which is read again at each connection, or a fixed address.
        starter: starts a server where none runs; None: wait until somebody does.
        prepare: is called in the client's thread with every event; what it gives is queued in its place. For work that
            the owner's thread has no time for.

    Raises:
        ClientClosedError: any call after `close`.
    """

    def __init__(
        self,
        source: ServerAddress | Path,
        *,
        starter: Starter | None = None,
        config: SessionConfig | None = None,
        prepare: Callable[[ClientEvent], ClientEvent] | None = None,
    ) -> None:
        self.events = EventQueue(self._release)
        self._closed = False
        self._thread = ClientThread(source, self.events, config or SessionConfig(), starter, prepare)
        self._thread.start()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self, timeout: float = 1.0) -> bool:
        """Ends the thread; jobs on the server go on. Returns whether it ended within `timeout` seconds."""
        self._closed = True
        self._thread.stop()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    # Jobs.

    def submit(
        self,
        spec: TextureJobSpec,
        arrays: Mapping[str, npt.NDArray[Any]],
        *,
        key: str | None = None,
        download: bool = True,
    ) -> str:
        """Sends a job and returns its key. Arrays are copied before this returns, so that they may change after it;
        those that own their bytes and were made read-only are taken as they are.

        Args:
            arrays: what the spec names, by SHA-256.
            key: of an earlier call, to be sure that both make one job only; None: a new one.
            download: fetch the maps at the end, before `JobFinished`.

        Raises:
            FieldError: the key is not 32 hexadecimal digits.
        """
        # Refused here, where the caller sees it, and not in the thread.
        key = Submit(key=key or uuid.uuid4().hex, spec=spec).key
        submission = Submission(key, spec, {sha256: handed_over(array) for sha256, array in arrays.items()})

        def command(session: Session) -> None:
            if not download:
                session.undownloaded.add(submission.key)
            session.submissions.add(submission)

        self._post(command)
        return key

    def attach(self, job: str, after_seq: int = 0, *, download: bool = True) -> None:
        """Follows a job of before: its events after `after_seq`, previews, and its end."""
        self._post(lambda session: session.jobs.follow(job, None, after_seq, download=download))

    def detach(self, job: str) -> None:
        """Stops the events of a job, which goes on."""
        self._post(lambda session: session.jobs.unfollow(job))

    def cancel(self, job: str) -> str:
        """Ends a job; `JobCancelled` comes when it has ended."""
        return self._ask(Cancel(job=job), _done)

    def pause(self, job: str) -> str:
        """Holds a job back; one that runs stops at its next step, on a checkpoint."""
        return self._ask(Pause(job=job), _done)

    def resume(self, job: str) -> str:
        """Undoes `pause`."""
        return self._ask(Resume(job=job), _done)

    def reorder(self, job: str, before: str | None) -> str:
        """Puts a queued job before another of one's own; None: to the end."""
        return self._ask(Reorder(job=job, before=before), _done)

    def fetch(self, file: MapFile) -> str:
        """Downloads one file of a result; gives `Fetched` or `RequestFailed`."""
        request = uuid.uuid4().hex

        def command(session: Session) -> None:
            emit = session.port.emit
            session.downloads.add(
                Download(
                    file.sha256,
                    file.bytes,
                    on_done=lambda data: emit(Fetched(request, file.sha256, data)),
                    on_error=lambda error: emit(RequestFailed(request, error)),
                )
            )

        self._post(command)
        return request

    # The server.

    def list_jobs(self) -> str:
        """Asks for all jobs of this user; gives `JobList`."""
        return self._ask(
            ListJobs(),
            lambda request, message: JobList(request, message.jobs) if isinstance(message, Jobs) else None,
        )

    def status(self) -> str:
        """Asks how the server is; gives `ServerStatus`."""
        return self._ask(
            Status(),
            lambda request, message: ServerStatus(request, message) if isinstance(message, StatusReport) else None,
        )

    def metrics(self) -> str:
        """Asks for the server's measurements; gives `Metrics`."""
        return self._ask(
            MetricsRequest(),
            lambda request, message: Metrics(request, message.text) if isinstance(message, MetricsText) else None,
        )

    def free_gpu(self) -> str:
        """Makes the server leave the graphics card, for a render for instance."""
        return self._ask(FreeGpu(), _done)

    def drain(self) -> str:
        """Makes the server save what runs and end; for its administrator."""
        return self._ask(Drain(), _done)

    # Within.

    def _ask(self, message: Message, event_of: Callable[[str, Message], ClientEvent | None]) -> str:
        request = uuid.uuid4().hex

        def command(session: Session) -> None:
            def on_answer(answer: Answer) -> None:
                event = event_of(request, answer.message)
                if event is None:
                    error = answer.message.error if isinstance(answer.message, Error) else unexpected(answer.message)
                    event = RequestFailed(request, error)
                session.port.emit(event)

            session.port.ask(Channel.CTL, message, on_answer)

        self._post(command)
        return request

    def _post(self, command: Command) -> None:
        if self._closed:
            raise ClientClosedError("This client was closed; make a new one.")
        self._thread.post(command)

    def _release(self, cost: int) -> None:
        if not self._closed:
            self._thread.post(lambda session: session.previews.released(cost))


def _done(request: str, message: Message) -> ClientEvent | None:
    return Acknowledged(request) if isinstance(message, Done) else None
