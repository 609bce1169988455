# SPDX-License-Identifier: Apache-2.0
"""Jobs and workers brought together: who runs what, how far it is, and what happens when it stops."""

from __future__ import annotations

from dataclasses import replace

from blender_addon.protocol.errors import ErrorCode
from blender_addon.protocol.messages import EventKind, JobResult, JobState
from server.broker.scheduling.active_run import ActiveRun, loss, making_room, median_step, turns_over
from server.broker.scheduling.lifecycle import Lifecycle
from server.broker.state import BrokerState
from server.broker.supervision.supervisor import Child, Supervisor
from server.children.messages import (
    ROLE_WORKER,
    CancelRun,
    FreeGpu,
    Run,
    WorkerCancelled,
    WorkerDone,
    WorkerFailed,
    WorkerProgress,
    WorkerYielded,
    YieldRun,
)
from server.storage.blobs import BlobStore
from server.storage.jobs import Job
from server.storage.journal import Grant


class Runner:
    """All runs. At most one for each worker."""

    def __init__(self, state: BrokerState, supervisor: Supervisor, lifecycle: Lifecycle, store: BlobStore) -> None:
        self._state = state
        self._supervisor = supervisor
        self._lifecycle = lifecycle
        self._feeds = lifecycle.feeds
        self._store = store
        self._runs: dict[int, ActiveRun] = {}
        self._idle_since: dict[int, float] = {}
        self._freed: set[int] = set()
        self._finishing = 0
        supervisor.listen(ROLE_WORKER, self)

    def __len__(self) -> int:
        return len(self._runs) + self._finishing

    # Start

    def assign(self) -> None:
        """Gives waiting jobs to free workers, and starts workers for those that are left."""
        if self._state.draining or self._state.is_blocked():
            return
        coming = 0
        for index in range(self._state.config.workers):
            child = self._supervisor.child(ROLE_WORKER, index)
            if child is not None and child.is_ready and index not in self._runs:
                self._take(child)
            elif child is not None and not child.is_ready:
                coming += 1
            elif child is None and self._state.queue.runnable() > coming:
                coming += self._supervisor.ensure(ROLE_WORKER, index)
        wanted = self._state.queue.interactive() - coming
        runs, limits = list(self._runs.values()), self._state.config.supervision
        over = turns_over(
            runs, self._state.queue.interactive_users(), self._state.ports.now() - limits.interactive_turn
        )
        for run in making_room(runs, wanted, limits.preempt_floor, over):
            self._state.metrics.count("preemptions")
            self._make_room(run)

    def _take(self, child: Child) -> None:
        now = self._state.ports.now()
        queued = self._state.queue.take(now)
        if queued is None:
            return
        self._state.metrics.set("queue_wait_seconds", now - queued.since)
        job = self._state.jobs[queued.job]
        attempt = job.row.attempt + 1
        run = ActiveRun(job, attempt, child, now, queued.since, queued.is_urgent(now), counter=child.counter, begun=now)
        if job.row.cancelling:
            run.keeping, run.terminate_at = True, now + self._state.config.supervision.keep_limit
        self._runs[child.index] = run
        self._freed.discard(child.index)
        job.charged_until = now
        event = job.record(replace(job.row, state=JobState.RUNNING, attempt=attempt), EventKind.STATE)

        def go() -> None:
            self._feeds.publish(job, event)
            if self._runs.get(child.index) is run:
                run.sent = True
                run.last_advance = self._state.ports.now()
                resume = attempt > 1 or job.row.checkpoint_step > 0
                self._supervisor.send(child, Run(job.id, attempt, resume, run.keeping, job.row.digest))
                if run.terminate_at is not None and not run.keeping:
                    self._supervisor.send(child, CancelRun(job.id))
                elif run.yielding:
                    self._supervisor.send(child, YieldRun(job.id))

        self._state.keep(job.row, event, go)

    # What workers tell

    def run_of(self, child: Child, job: str) -> ActiveRun | None:
        """Returns the run that a worker's message is about; None when that is over."""
        run = self._runs.get(child.index)
        return run if run is not None and run.child is child and run.job.id == job else None

    def beat(self, child: Child, counter: int) -> None:
        """Takes a worker's counter as a sign of life: anything that grows is one."""
        run = self._runs.get(child.index)
        if run is not None and run.child is child and counter != run.counter:
            run.counter = counter
            run.last_advance = self._state.ports.now()
        child.counter = counter

    def progress(self, run: ActiveRun, message: WorkerProgress) -> None:
        """Takes note of a step, and tells those who watch the job."""
        now, job = self._state.ports.now(), run.job
        run.stepped(now, message.step)
        run.child.useful = True
        job.step, job.eta_s = message.step, message.eta_s
        if message.steps != job.row.steps:
            job.row = replace(job.row, steps=message.steps)
            self._state.keep(job.row, None, lambda: None)
        self._feeds.publish(job, job.event(EventKind.PROGRESS))

    def checkpointed(self, run: ActiveRun, step: int) -> None:
        """Takes note that a checkpoint of this step is on the disk."""
        self._state.metrics.count("checkpoints")
        run.last_advance = self._state.ports.now()
        row = run.job.row
        # Who gets on between two crashes will get to the end.
        crashes = 0 if step > row.checkpoint_step else row.crashes
        run.job.row = replace(row, checkpoint_step=step, restarts=0, crashes=crashes)
        self._state.keep(run.job.row, None, lambda: None)

    def done(self, run: ActiveRun, message: WorkerDone) -> None:
        """Ends a job whose results are all said to be in the store, after a look there."""
        self._release(run)
        run.child.useful = True
        self._conclude(run.job, message.result, JobState.SUCCEEDED)
        self.assign()

    def _conclude(self, job: Job, result: JobResult, end: JobState) -> None:
        hashes = {result.config_json_sha256, *(file.sha256 for file in result.maps)}
        self._finishing += 1

        def checked(sizes: dict[str, int] | None, error: Exception | None) -> None:
            self._finishing -= 1
            if sizes is None:
                self._lifecycle.finish(job, JobState.FAILED, error=self._state.fault("results", error or OSError()))
                return
            now = self._state.ports.wall()
            grants = [Grant(job.row.user, sha256, size, now) for sha256, size in sizes.items()]
            self._lifecycle.finish(job, end, result=result, grants=grants)

        self._state.ports.disk(lambda: {sha256: self._store.size(sha256) for sha256 in hashes}, checked)

    def failed(self, run: ActiveRun, message: WorkerFailed) -> None:
        """Ends a job that has failed. A broken CUDA context is the worker's end, not the job's."""
        if message.error.code is ErrorCode.RES_OOM:
            self._state.metrics.count("out_of_memory")
        self._release(run)
        run.child.useful = True
        if message.error.code is ErrorCode.WORKER_CUDA:
            self._supervisor.stop(run.child, self._state.config.supervision.cancel_terminate)
        if run.job.row.cancelling:
            self._lifecycle.end_cancelled(run.job, run.keeping)
        elif message.error.code is ErrorCode.WORKER_CUDA:
            self._lifecycle.crashed(run.job, message.error)
        else:
            self._lifecycle.finish(run.job, JobState.FAILED, error=message.error)
        self.assign()

    def keeping(self, run: ActiveRun) -> None:
        """Takes note that the worker obeys: it makes the result, which may take a while."""
        if run.terminate_at is not None:
            run.terminate_at = self._state.ports.now() + self._state.config.supervision.keep_limit

    def cancelled(self, run: ActiveRun, message: WorkerCancelled) -> None:
        """Ends a job that its worker stopped at a cancel; one that nobody cancelled waits again."""
        self._release(run)
        run.child.useful = True
        if run.job.row.cancelling and message.result is not None:
            self._conclude(run.job, message.result, JobState.CANCELLED)
        elif run.job.row.cancelling:
            self._lifecycle.end_cancelled(run.job, run.keeping)
        else:
            self._lifecycle.requeue(run.job, None)
        self.assign()

    def yielded(self, run: ActiveRun, message: WorkerYielded) -> None:
        """Lets the job wait again, on its checkpoint; the worker is free."""
        self._release(run)
        run.child.useful = True
        job = run.job
        if job.row.cancelling:
            self._lifecycle.end_cancelled(job)
        else:
            job.step = message.step
            text = "Paused" if job.row.paused else "An interactive job goes first"
            self._lifecycle.requeue(job, f"{text}; {message.step} steps are kept.", run.since)
        self.assign()

    def child_ready(self, child: Child) -> None:
        """Takes note that a worker is ready, and gives it a job."""
        self._idle_since[child.index] = self._state.ports.now()
        self.assign()

    def child_lost(self, child: Child, code: int | None) -> None:
        """Handles the loss of a worker. Where the server ended it, its job waits again; where not, the job has one try
        less."""
        run = self._runs.get(child.index)
        if run is not None and run.child is child:
            self._release(run)
            child.useful = child.useful or run.sent
            if run.job.row.cancelling:
                # One that the server itself ended, as it ends itself, is no failure to keep what there is.
                self._lifecycle.end_cancelled(run.job, run.keeping and run.sent and not child.stopping)
            elif child.stopping:
                self._lifecycle.requeue(run.job, None)
            elif not run.sent:
                self._lifecycle.requeue(run.job, "The worker ended before the job began.")
            else:
                self._lifecycle.crashed(run.job, loss(child))
        self.assign()

    # Ends

    def cancel(self, job: Job) -> None:
        """Tells the worker, and sees that it obeys in time. The job's row says `cancelling` already."""
        for run in self._runs.values():
            if run.job is job and run.terminate_at is None:
                run.terminate_at = self._state.ports.now() + run.patience(self._state.config.supervision)
                if run.sent:
                    self._supervisor.send(run.child, CancelRun(job.id))

    def pause(self, job: Job) -> None:
        """Makes the job's run end at the next step, on a checkpoint. The job's row says `paused` already."""
        for run in self._runs.values():
            if run.job is job and not run.yielding:
                self._make_room(run)

    def _make_room(self, run: ActiveRun) -> None:
        run.yielding = True
        if run.sent:
            self._supervisor.send(run.child, YieldRun(run.job.id))

    def _release(self, run: ActiveRun) -> None:
        run.charge(self._state.queue, self._state.ports.now())
        self._runs.pop(run.child.index, None)
        self._idle_since[run.child.index] = self._state.ports.now()

    # Time

    def tick(self, now: float) -> None:
        """Charges for time, ends what was cancelled or hangs, lets idle workers go."""
        for run in list(self._runs.values()):
            run.charge(self._state.queue, now)
            self._watch(run, now)
        for index in range(self._state.config.workers):
            child = self._supervisor.child(ROLE_WORKER, index)
            if child is not None and child.is_ready and index not in self._runs:
                self._rest(child, now)
        self.assign()

    def _watch(self, run: ActiveRun, now: float) -> None:
        if run.child.reason is not None:
            return
        if run.terminate_at is not None and now >= run.terminate_at:
            self._supervisor.terminate(run.child, "the cancelled job did not end")
        elif run.sent and now - run.last_advance > run.stall_limit(self._state.config.supervision):
            self._supervisor.end_hung(run.child, f"no step for {now - run.last_advance:.0f} s")

    def _rest(self, child: Child, now: float) -> None:
        limits = self._state.config.supervision
        idle = now - self._idle_since.get(child.index, now)
        if idle > limits.idle_exit and not self._state.queue.runnable():
            self._supervisor.stop(child, limits.cancel_terminate)
        elif idle > limits.idle_free and child.index not in self._freed:
            self.free(child)

    def free(self, child: Child) -> None:
        """Makes an idle worker take its weights off the GPU."""
        self._freed.add(child.index)
        self._supervisor.send(child, FreeGpu())

    def step_seconds(self) -> float:
        """Returns the median of the newest steps, over all runs."""
        return median_step(self._runs.values())

    def rearm(self, now: float) -> None:
        """Counts deadlines from now, since the machine slept: nothing is stalled because of that."""
        for run in self._runs.values():
            run.rearm(now)
