# SPDX-License-Identifier: Apache-2.0
"""Requests about jobs and the server that need no blob: cancel, pause, order, lists, figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import psutil

from blender_addon.protocol.messages import (
    Cancel,
    Done,
    Drain,
    EventKind,
    FreeGpu,
    Jobs,
    JobState,
    ListJobs,
    Metrics,
    MetricsText,
    Pause,
    Reorder,
    ResultAck,
    Resume,
    Status,
    StatusReport,
)
from blender_addon.protocol.specs.offers import models_of_version
from server.broker import refusals
from server.broker.scheduling.lifecycle import Lifecycle
from server.broker.scheduling.lists import Lists
from server.broker.scheduling.runner import Runner
from server.broker.state import BrokerState, Request
from server.broker.supervision.supervisor import Supervisor
from server.children.messages import ROLE_GATE, ROLE_WORKER
from server.storage.jobs import Job, JobRow


class Controls:
    """Answers with DONE when what was asked for is on the disk."""

    def __init__(
        self,
        state: BrokerState,
        supervisor: Supervisor,
        lifecycle: Lifecycle,
        runner: Runner,
        drain: Callable[[], None],
        lists: Lists,
    ) -> None:
        self._state = state
        self._lists = lists
        self._supervisor = supervisor
        self._lifecycle = lifecycle
        self._runner = runner
        self._drain = drain
        self._started = state.ports.now()
        self._process = psutil.Process()

    # Jobs

    def cancel(self, request: Request, message: Cancel) -> None:
        """Cancels a job. One that waits ends at once, unless a checkpoint is to become its result; one that runs is
        told to end. It takes no further step, whatever happens.
        """
        job = self._in_reach(request, message.job)
        if job is None:
            return
        if job.row.state is JobState.CANCELLED:
            self._when_on_disk(lambda: self._done(request))
        elif job.row.is_terminal:
            self._when_on_disk(lambda: self._state.refuse(request.address, refusals.job_finished(), request.id))
        elif job.row.cancelling:
            self._done(request)
        else:
            foreign = job.row.user != request.user
            self.end(job, "An admin of the server cancelled this job." if foreign else None, request)

    def end(self, job: Job, why: str | None, request: Request | None = None) -> None:
        """Cancels a job that is not over; `why`: said to its user, where it was not the user."""
        if why is not None:
            self._lifecycle.notice(job, why)
        job.row = replace(job.row, cancelling=True, paused=False)
        self._state.keep(job.row, None, lambda: None if request is None else self._done(request))
        if job.row.state is JobState.RUNNING:
            self._runner.cancel(job)
        else:
            self._lifecycle.end_cancelled(job)
            self._runner.assign()

    def pause(self, request: Request, message: Pause) -> None:
        """Holds a job back, and answers."""
        self._set_paused(request, message.job, True)

    def resume(self, request: Request, message: Resume) -> None:
        """Lets a paused job go on, and answers."""
        self._set_paused(request, message.job, False)
        self._runner.assign()

    def _set_paused(self, request: Request, name: str, paused: bool) -> None:
        job = self._in_reach(request, name)
        if job is None:
            return
        if job.row.is_terminal or job.row.cancelling:
            self._state.refuse(request.address, refusals.job_finished(), request.id)
        elif job.row.paused == paused:
            self._done(request)
        else:
            running = job.row.state is JobState.RUNNING
            self._state.queue.set_paused(job.row.user, job.id, paused)
            text = "Resumed." if not paused else "It pauses after this step." if running else "Paused."
            if job.row.user != request.user:
                text += " An admin of the server asked for it."
            event = job.record(replace(job.row, paused=paused), EventKind.STATE, text)
            if running and paused:
                self._runner.pause(job)

            def kept() -> None:
                self._lifecycle.feeds.publish(job, event)
                self._done(request)

            self._state.keep(job.row, event, kept)

    def reorder(self, request: Request, message: Reorder) -> None:
        """Puts a job before another one, only among the user's own waiting jobs."""
        job = self._own(request, message.job)
        if job is None or (message.before is not None and self._own(request, message.before) is None):
            return
        ranks = self._state.queue.reorder(request.user, message.job, message.before)
        if ranks is None:
            error = refusals.invalid("job", "Only jobs that wait have an order.")
            self._state.refuse(request.address, error, request.id)
            return
        for name, rank in ranks:
            other = self._state.jobs[name]
            other.row = replace(other.row, rank=rank)
            self._state.next_rank = max(self._state.next_rank, rank + 1)
        self._state.ports.journal(
            lambda journal: journal.set_ranks(ranks), lambda _r, error: self._kept(request, error), essential=True
        )

    def acknowledge(self, request: Request, message: ResultAck) -> None:
        """Takes note that the client has the result; how long checkpoints stay counts from here."""
        job = self._own(request, message.job)
        if job is None:
            return
        if not job.row.is_terminal:
            error = refusals.invalid("job", "The job has no result yet.")
            self._state.refuse(request.address, error, request.id)
        elif job.row.acked is not None:
            self._done(request)
        else:
            self._keep(request, job, replace(job.row, acked=self._state.ports.wall()))

    def _own(self, request: Request, name: str) -> Job | None:
        job = self._state.own_job(request.user, name)
        if job is None:
            self._state.refuse(request.address, refusals.job_unknown(), request.id)
        return job

    def _in_reach(self, request: Request, name: str) -> Job | None:
        job = self._state.job_in_reach(request.user, name)
        if job is None:
            self._state.refuse(request.address, refusals.job_unknown(), request.id)
        return job

    def _keep(self, request: Request, job: Job, row: JobRow) -> None:
        job.row = row
        self._state.keep(row, None, lambda: self._done(request))

    def _when_on_disk(self, tell: Callable[[], None]) -> None:
        """Tells something that a crash must not make untrue, after all that was written before."""
        self._state.ports.journal(lambda journal: None, lambda _result, _error: tell(), essential=True)

    def _kept(self, request: Request, error: Exception | None) -> None:
        if error is None:
            self._done(request)
        else:
            self._state.refuse(request.address, self._state.fault("journal", error), request.id)

    def _done(self, request: Request) -> None:
        self._state.send(request.address, Done(), request.id)

    # Lists and figures

    def list_jobs(self, request: Request, message: ListJobs) -> None:
        """Answers with the user's jobs, or with everybody's where an admin asks for them."""
        if not message.all_users:
            self._state.send(request.address, Jobs(self._lists.of(request.user)), request.id)
        elif self._is_admin(request, f"{message.TYPE} of all users' jobs"):
            self._state.send(request.address, Jobs(self._lists.of_all()), request.id)

    def condition(self) -> str:
        """Returns one of starting, ready, degraded, draining."""
        if self._state.draining:
            return "draining"
        workers = range(self._state.config.workers)
        failing = any(self._supervisor.degraded(ROLE_WORKER, index) for index in workers)
        if failing or self._supervisor.degraded(ROLE_GATE, 0) or self._state.is_blocked():
            return "degraded"
        gate = self._supervisor.child(ROLE_GATE, 0)
        return "ready" if gate is not None and gate.is_ready else "starting"

    def status(self, request: Request, _message: Status) -> None:
        """Answers how the server is."""
        state = self._state
        self.measure()
        condition = self.condition()
        assert condition in ("starting", "ready", "degraded", "draining")
        report = StatusReport(
            server=server_name(),
            state=condition,
            uptime_s=state.ports.now() - self._started,
            queued=len(state.queue),
            running=len(self._runner),
            sessions=len(state.sessions),
            workers=sum(child.role == ROLE_WORKER and child.is_ready for child in self._supervisor.children()),
            devices=state.devices,
            models=models_of_version(state.models, request.session.minor),
            memory=int(state.metrics.gauge("resident_bytes")),
            disk_free=state.disk.free,
            facts={
                "loop_lag_s": state.metrics.loop_lag(),
                "step_s": self._runner.step_seconds(),
                "disk_low": float(state.is_blocked()),
                "disk_needed": float(state.disk.needed),
            },
        )
        state.send(request.address, report, request.id)

    def metrics(self, request: Request, _message: Metrics) -> None:
        """Answers with the measurements as OpenMetrics text."""
        self.measure()
        self._state.send(request.address, MetricsText(self._state.metrics.text()), request.id)

    def measure(self) -> None:
        """Brings the gauges up to date."""
        metrics = self._state.metrics
        metrics.set("queue_depth", len(self._state.queue))
        metrics.set("jobs_running", len(self._runner))
        metrics.set("sessions", len(self._state.sessions))
        metrics.set("step_seconds", self._runner.step_seconds())
        metrics.set("resident_bytes", self._process.memory_info().rss)
        metrics.set("disk_free_bytes", self._state.disk.free)
        metrics.set("degraded", float(self.condition() == "degraded"))

    # For admins

    def free_gpu(self, request: Request, message: FreeGpu) -> None:
        """Makes all workers that are ready take their weights off the card, where an admin asks for it."""
        if self._is_admin(request, message.TYPE):
            for child in self._supervisor.children():
                if child.role == ROLE_WORKER and child.is_ready:
                    self._runner.free(child)
            self._done(request)

    def drain(self, request: Request, message: Drain) -> None:
        """Begins to drain the server, where an admin asks for it."""
        if self._is_admin(request, message.TYPE):
            self._done(request)
            self._drain()

    def _is_admin(self, request: Request, name: str) -> bool:
        allowed = self._state.is_admin(request.user)
        if not allowed:
            self._state.refuse(request.address, refusals.forbidden(name), request.id)
        return allowed


def server_name() -> str:
    """Returns what the server calls itself."""
    return "pgc-server"
