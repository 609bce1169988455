# SPDX-License-Identifier: Apache-2.0
"""SUBMIT: from a specification to a job that is on the disk, in four steps that each wait for something.

1. digest of the specification (a disk thread) · is it a job that we know, is there room for it?
2. specification into the job's folder (a disk thread)
3. the gate's verdict on specification and blobs (its process), so that the artist sees a wrong face at once
4. the journal (its thread), then ACCEPTED. Until then a crash forgets all of it, and the client sends it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from blender_addon.protocol.errors import ErrorCode, WireError
from blender_addon.protocol.job_size import refusal
from blender_addon.protocol.messages import Accepted, EventKind, JobState, Submit
from blender_addon.protocol.specs.job import TextureJobSpec
from server.broker import refusals
from server.broker.state import BrokerState, Request
from server.config import ServerPaths
from server.platform import make_private_directory, write_private
from server.storage.jobs import Job, JobRow
from server.storage.journal import Grant
from server.storage.records import dump

MAX_PENDING = 1024
MAX_PENDING_PER_USER = 64
_ORACLE = "oracle"
"""A model without weights, for tests and the doctor: in no list."""

Verdict = Callable[[WireError | None], None]


@dataclass
class _Pending:
    """A SUBMIT that is not a job yet, and all who asked for it."""

    user: str
    digest: str
    spec: TextureJobSpec
    job: str
    waiting: list[Request]
    checkpoint_step: int = 0
    """Of an earlier job's checkpoint that it goes on from."""


class Submissions:
    """`validate(job, user, verdict)` lets the gate look at a job's folder."""

    def __init__(
        self, state: BrokerState, validate: Callable[[str, str, Verdict], None], accepted: Callable[[], None]
    ) -> None:
        self._state = state
        self._validate = validate
        self._accepted = accepted
        self._pending: dict[tuple[str, str], _Pending] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def submit(self, request: Request, message: Submit) -> None:
        """Takes a SUBMIT; its ACCEPTED or ERROR follows."""

        def digest() -> tuple[bytes, str]:
            data = dump(message.spec)
            return data, hashlib.sha256(data).hexdigest()

        def done(outcome: tuple[bytes, str] | None, error: Exception | None) -> None:
            if outcome is None:
                self._refuse([request], self._state.fault("submit", error or ValueError()))
                return
            self._digested(request, message, outcome)

        self._state.ports.disk(digest, done)

    def _digested(self, request: Request, message: Submit, outcome: tuple[bytes, str]) -> None:
        data, digest = outcome
        key = (request.user, message.key)
        known = self._state.by_key.get(key)
        pending = self._pending.get(key)
        if known is not None:
            self._again(request, self._state.jobs[known], digest)
        elif pending is not None and pending.digest == digest:
            pending.waiting.append(request)
        elif pending is not None:
            self._refuse([request], _conflict())
        elif (error := self._objection(request.user, message.spec)) is not None:
            self._refuse([request], error)
        else:
            pending = _Pending(request.user, digest, message.spec, uuid.uuid4().hex, [request])
            self._pending[key] = pending
            self._write(key, pending, data)

    def _again(self, request: Request, job: Job, digest: str) -> None:
        if job.row.digest != digest:
            self._refuse([request], _conflict())
            return
        info = self._state.info(job)
        self._state.send(request.address, Accepted(job.id, job.row.key, info.state, info.position, True), request.id)

    def _objection(self, user: str, spec: TextureJobSpec) -> WireError | None:
        quotas = self._state.config.quotas
        if self._state.draining:
            return refusals.draining()
        if (blocked := self._state.blocked()) is not None:
            return blocked
        known = [
            model.key for model in self._state.models if ":" not in model.key
        ]  # Empty until the first worker has told.
        if known and spec.guidance.model not in (*known, _ORACLE):
            text = f"There is no model {spec.guidance.model!r}; this server has {', '.join(known)}."
            return refusals.invalid("guidance.model", text, ErrorCode.MODEL_MISSING)
        own_pending = sum(pending.user == user for pending in self._pending.values())
        if len(self._pending) >= MAX_PENDING or own_pending >= MAX_PENDING_PER_USER:
            return refusals.busy("Many jobs wait to be checked; send this one again in a moment.")
        open_jobs = [job.row.user for job in self._state.jobs.values() if not job.row.is_terminal]
        open_users = [*open_jobs, *(pending.user for pending in self._pending.values())]
        own = open_users.count(user)
        if own >= quotas.jobs_per_user:
            text = f"You have {own} jobs open and may have {quotas.jobs_per_user}; wait, or cancel some."
            return refusals.invalid(None, text, ErrorCode.QUOTA_JOBS)
        if len(open_users) >= quotas.jobs:
            return refusals.busy(f"{len(open_users)} jobs wait on this server, which is its limit.")
        return refusal(spec, self._state.limits) or self._blobs_objection(user, spec)

    def _blobs_objection(self, user: str, spec: TextureJobSpec) -> WireError | None:
        sizes = self._state.grants.get(user, {})
        refs = spec.refs()
        missing = sorted({ref.sha256 for ref in refs.values() if ref.sha256 not in sizes})
        if missing:
            text = f"{len(missing)} of the job's blobs are not here; upload them first."
            return refusals.invalid(" ".join(missing[:64]), text, ErrorCode.INPUT_MISSING_BLOB)
        for path, ref in refs.items():
            if sizes[ref.sha256] != ref.nbytes:
                text = f"The blob has {sizes[ref.sha256]} bytes; its type and shape need {ref.nbytes}."
                return refusals.invalid(path, text)
        return None

    def _write(self, key: tuple[str, str], pending: _Pending, data: bytes) -> None:
        paths = self._state.config.paths
        earlier = self._to_go_on_from(pending)

        def write() -> None:
            make_private_directory(paths.job(pending.job))
            write_private(paths.spec(pending.job), data)
            if earlier is not None and _take_over(paths, earlier.id, pending.job):
                pending.checkpoint_step = earlier.row.checkpoint_step

        def done(_result: object, error: Exception | None) -> None:
            if error is not None:
                self._reject(key, pending, self._state.disk_fault("submit", error))
                return
            self._validate(pending.job, pending.user, lambda verdict: self._judged(key, pending, verdict))

        self._state.ports.disk(write, done)

    def _to_go_on_from(self, pending: _Pending) -> Job | None:
        """The newest of the user's failed jobs of the very same specification that got somewhere: since a resumed run
        ends in the bytes of an uninterrupted one, who sends it again need not begin anew."""
        failed = [
            job
            for job in self._state.jobs_of(pending.user)
            if job.row.digest == pending.digest and job.row.state is JobState.FAILED and job.row.checkpoint_step > 0
        ]
        return max(failed, key=lambda job: job.row.finished or 0.0, default=None)

    def _judged(self, key: tuple[str, str], pending: _Pending, error: WireError | None) -> None:
        if error is None and self._state.draining:
            error = refusals.draining()
        if error is None and pending.user not in self._state.clients:
            error = refusals.refused_user()
        error = error or self._blobs_objection(pending.user, pending.spec)  # They may have gone meanwhile.
        if error is not None:
            self._reject(key, pending, error)
            return
        state, spec = self._state, pending.spec
        now = state.ports.wall()
        row = JobRow(
            job=pending.job,
            user=pending.user,
            key=key[1],
            digest=pending.digest,
            name=spec.name,
            interactive=spec.priority == "interactive",
            created=now,
            rank=state.next_rank,
            steps=spec.settings.steps or 0,
            checkpoint_step=pending.checkpoint_step,
        )
        state.next_rank += 1
        job = Job(row)
        event = job.record(row, EventKind.STATE)
        row = job.row
        inputs = {ref.sha256: ref.nbytes for ref in spec.refs().values()}
        grants = [Grant(pending.user, sha256, size, now) for sha256, size in inputs.items()]

        def done(_result: object, failure: Exception | None) -> None:
            if failure is not None:
                self._reject(key, pending, state.disk_fault("submit", failure))
                return
            self._kept(key, pending, job)

        state.ports.journal(lambda journal: journal.add(row, event, grants), done)

    def _kept(self, key: tuple[str, str], pending: _Pending, job: Job) -> None:
        del self._pending[key]
        job.step = job.row.checkpoint_step
        self._state.jobs[job.id] = job
        self._state.by_key[key] = job.id
        self._state.enqueue(job)
        self._state.metrics.count("jobs_accepted")
        position = self._state.info(job).position
        for index, request in enumerate(pending.waiting):
            accepted = Accepted(job.id, job.row.key, JobState.QUEUED, position, index > 0)
            self._state.send(request.address, accepted, request.id)
        self._accepted()

    def _reject(self, key: tuple[str, str], pending: _Pending, error: WireError) -> None:
        self._pending.pop(key, None)
        self._refuse(pending.waiting, error)
        folder = self._state.config.paths.job(pending.job)

        def done(_result: object, failure: Exception | None) -> None:
            if failure is not None:  # The sweep at the next start takes it.
                self._state.fault("submit", failure)

        self._state.ports.disk(lambda: shutil.rmtree(folder, ignore_errors=True), done)

    def _refuse(self, requests: list[Request], error: WireError) -> None:
        for request in requests:
            self._state.metrics.count("submits_refused")
            self._state.refuse(request.address, error, request.id)


def _take_over(paths: ServerPaths, earlier: str, job: str) -> bool:
    """Gives a job the checkpoints of an earlier one, which are only ever replaced; whether there were any."""
    taken = False
    for of in (paths.checkpoint, paths.previous_checkpoint):
        source = of(earlier)
        with contextlib.suppress(FileNotFoundError):
            try:
                os.link(source, of(job))
            except OSError:  # This file system has no second names for a file.
                shutil.copyfile(source, of(job))
            taken = True
    return taken


def _conflict() -> WireError:
    text = "Another job has been sent with this key."
    return refusals.invalid("key", text, ErrorCode.INPUT_CONFLICT)
