# SPDX-License-Identifier: Apache-2.0
"""Events and previews to those who watch a job.

Events that are journaled are never dropped: a client that reads too slowly loses its session and asks again with
the number of the last event that it saw. Progress is left out while anything waits. Of previews there is one
place for each (session, job, map, tile), which the newest takes, and they go out only against the client's credit.
"""

from __future__ import annotations

from blender_addon.protocol.messages import (
    Attach,
    Credit,
    Detach,
    Done,
    Event,
    EventKind,
    JobEvent,
    Preview,
    PreviewCodec,
    Snapshot,
)
from server.broker import refusals
from server.broker.ports import Buffer
from server.broker.sessions.sessions import MAX_CREDIT, PreviewKey, Session
from server.broker.state import BrokerState, Request
from server.children.messages import MAX_MESSAGE_BYTES, WorkerPreview
from server.storage.jobs import Job

MAX_PREVIEW_BYTES = MAX_MESSAGE_BYTES - (64 << 10)
_MAX_PICTURES = 64
_MINOR_OF_MESHES = 2
_SNAPSHOT_BYTES = 80 << 10


class Feeds:
    """Who watches what, and what they have not been sent yet."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state
        self._newest: dict[str, dict[PreviewKey, tuple[Preview, Buffer]]] = {}

    def attach(self, request: Request, message: Attach) -> None:
        """Sends a SNAPSHOT of a job, and from then on its events. The journal is read behind all writes before."""
        job = self._state.own_job(request.user, message.job)
        if job is None:
            self._state.refuse(request.address, refusals.job_unknown(), request.id)
            return
        limit = self._state.config.quotas.subscriptions_per_session
        if len(request.session.watching) >= limit and message.job not in request.session.watching:
            self._state.refuse(request.address, refusals.busy(f"A session watches {limit} jobs at most."), request.id)
            return

        def done(events: tuple[JobEvent, ...], error: Exception | None) -> None:
            if error is not None:
                self._state.refuse(request.address, self._state.fault("attach", error), request.id)
                return
            self._attached(request, job, events)

        self._state.ports.journal(lambda journal: journal.events_after(message.job, message.after_seq), done)

    def _attached(self, request: Request, job: Job, events: tuple[JobEvent, ...]) -> None:
        fitting = _fitting(events)
        snapshot = Snapshot(info=self._state.info(job), events=events[:fitting], result=job.told.result)
        self._state.send(request.address, snapshot, request.id)
        for event in events[fitting:]:
            self._state.send(request.address, Event(event))
        session = request.session
        if self._state.sessions.by_sid(session.sid) is not session or job.id not in self._state.jobs:
            return
        if job.row.is_terminal:  # Nothing more will come.
            return
        session.watching.add(job.id)
        job.watchers.add(session.sid)
        for key, picture in self._newest.get(job.id, {}).items():
            if _understands(session, picture[0]):
                session.previews.setdefault(key, picture)
        self.pump(session)

    def detach(self, request: Request, message: Detach) -> None:
        """Sends no more events of a job; answers for one that is not watched too."""
        self._forget(request.session, message.job)
        self._state.send(request.address, Done(), request.id)

    def _forget(self, session: Session, job: str) -> None:
        session.watching.discard(job)
        if job in self._state.jobs:
            self._state.jobs[job].watchers.discard(session.sid)
        for key in [key for key in session.previews if key[0] == job]:
            del session.previews[key]

    def left(self, session: Session) -> None:
        """Forgets what a session watched, since it is gone."""
        for job in list(session.watching):
            self._forget(session, job)

    def publish(self, job: Job, event: JobEvent) -> None:
        """Tells all who watch. Call it when the event is on the disk."""
        if event.kind is EventKind.STATE and job.row.is_terminal:
            self._newest.pop(job.id, None)
        for session in self._watchers(job):
            if event.kind is not EventKind.PROGRESS or not self._state.ports.backlog(session.ctl):
                self._state.send(session.ctl, Event(event))
        if event.kind is EventKind.STATE and job.row.is_terminal:
            # It counts no more among the jobs that a session may watch.
            for session in self._watchers(job):
                self._forget(session, job.id)

    def _watchers(self, job: Job) -> list[Session]:
        found = (self._state.sessions.by_sid(sid) for sid in sorted(job.watchers))
        return [session for session in found if session is not None]

    def show(self, job: Job, picture: WorkerPreview, payload: Buffer) -> None:
        """Takes a worker's newest picture of a map's tile."""
        newest = self._newest.setdefault(job.id, {})
        key = (job.id, picture.map, picture.tile)
        if len(payload) > MAX_PREVIEW_BYTES or (key not in newest and len(newest) >= _MAX_PICTURES):
            return
        job.preview_seq += 1
        preview = Preview(
            job=job.id,
            seq=job.preview_seq,
            step=picture.step,
            map=picture.map,
            tile=picture.tile,
            width=picture.width,
            height=picture.height,
            channels=picture.channels,
            codec=PreviewCodec(picture.codec),
        )
        newest[key] = (preview, payload)
        for session in self._watchers(job):
            if not _understands(session, preview):
                continue
            if key in session.previews:
                self._state.metrics.count("previews_replaced")
            session.previews[key] = (preview, payload)
            self.pump(session)

    def credit(self, session: Session, message: Credit) -> None:
        """Takes note that the client takes that many bytes more."""
        session.credit = min(session.credit + max(0, message.bytes), MAX_CREDIT)
        self.pump(session)

    def pump(self, session: Session) -> None:
        """Sends what the credit allows, one picture at a time: the next one when this one is out."""
        while session.previews and session.bulk is not None:
            key, (preview, payload) = next(iter(session.previews.items()))
            if self._state.ports.backlog(session.bulk):
                return
            if session.credit < len(payload):
                self._state.metrics.count("credit_stalls")
                return
            del session.previews[key]
            session.credit -= len(payload)
            self._state.metrics.count("previews_sent")
            self._state.send(session.bulk, preview, buffers=(payload,))

    def pump_all(self) -> None:
        """Sends what the credits allow, once a turn of the loop: connections may have taken what they had not
        before.
        """
        for session in self._state.sessions:
            if session.previews:
                self.pump(session)


def _understands(session: Session, preview: Preview) -> bool:
    """Meshes came with protocol 1.2."""
    return preview.codec is not PreviewCodec.MESH or session.minor >= _MINOR_OF_MESHES


def _fitting(events: tuple[JobEvent, ...]) -> int:
    """How many of the events fit into one SNAPSHOT, beside the rest of it; at least one, for a long result."""
    size = 0
    for count, event in enumerate(events):
        files = len(event.result.maps) if event.result is not None else 0
        error = len(event.error.text) if event.error is not None else 0
        size += 300 + 4 * len(event.text or "") + 4 * error + 400 * files
        if size > _SNAPSHOT_BYTES and count:
            return count
    return len(events)
