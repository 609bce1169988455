# SPDX-License-Identifier: Apache-2.0
"""One job from its specification to its result, with previews, checkpoints, cancel, and smaller plans."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from blender_addon.protocol.errors import WireError
from blender_addon.protocol.messages import JobResult
from blender_addon.protocol.specs.job import TextureJobSpec
from pgc.devices import release_cached_memory
from pgc.errors import CheckpointError
from pgc.optimization.step_result import StepResult
from pgc.runs.memory.errors import is_broken_context, is_out_of_memory
from pgc.runs.memory.plan import RunPlanner, cap_memory, device_memory
from server.children.messages import WorkerCheckpoint, WorkerKeeping, WorkerNotice, WorkerProgress
from server.recipes import JobRun, MeshRun, planner_of
from server.worker.checkpoints import Cadence, Saved, load_newest, save
from server.worker.failures import is_disk_full, memory_figures, out_of_memory_error, sticky_error, wire_error
from server.worker.job_files import JobInputs, make_ready, read_spec
from server.worker.keeping import AbsentPrior
from server.worker.previews import Throttle, preview_messages
from server.worker.results import Timings, write_result, write_shape
from server.worker.tools import Ending, JobOutcome, JobTools, Pace
from server.worker.unwrap_job import unwrap_job

__all__ = ["keep_job", "run_job"]

_LOG = logging.getLogger(__name__)


class _EndedEarly(Exception):
    """Leaves a run between two steps or stages."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.value)
        self.ending = ending


class _OutOfMemoryError(Exception):
    """Raised outside of the `except` block that saw the real one: a traceback keeps its frames' tensors alive."""


def run_job(tools: JobTools, job: str, attempt: int, resume: bool, digest: str = "") -> JobOutcome:
    """Runs a job to its end, whatever that is; nothing is raised for anything that a job can do."""
    active = _Job(tools, job, attempt, digest)
    return _outcome(active, lambda: JobOutcome(Ending.DONE, result=active.run(resume)))


def keep_job(tools: JobTools, job: str, attempt: int, digest: str = "") -> JobOutcome:
    """Ends a cancelled job with its newest checkpoint as its result; without one it has none."""
    deaf = replace(tools, is_cancelled=_wants_nothing, must_yield=_wants_nothing, guidance_for=AbsentPrior.of)
    active = _Job(deaf, job, attempt, digest, takes_steps=False)
    return _outcome(active, lambda: JobOutcome(Ending.CANCELLED, result=active.keep()))


def _as_begun(spec: TextureJobSpec, state: Saved | None) -> TextureJobSpec:
    """The job with a warm start as its state's run had one or not, whatever this version does by itself: a job may be
    older than the server that goes on with it."""
    if state is None or spec.settings.warm_start is not None or spec.reshapes:
        return spec
    return replace(spec, settings=replace(spec.settings, warm_start=bool(state.header.get("warm_steps", 0))))


def _wants_nothing(_job: str) -> bool:
    return False


def _outcome(active: _Job, work: Callable[[], JobOutcome]) -> JobOutcome:
    error: Exception | None = None
    try:
        return work()
    except _EndedEarly as ended:
        result = active.made_so_far() if ended.ending is Ending.CANCELLED else None
        return JobOutcome(ended.ending, step=active.saved_step, result=result)
    except _OutOfMemoryError:
        return JobOutcome(Ending.FAILED, error=active.out_of_memory())
    except Exception as caught:  # noqa: BLE001 - whatever a job does must not end the worker
        error = caught
    finally:
        active.active = None
    if is_broken_context(error):
        return JobOutcome(Ending.STICKY, error=sticky_error(error))
    return JobOutcome(Ending.FAILED, error=wire_error(error))


@dataclass
class _Job:
    """State of one attempt."""

    tools: JobTools
    job: str
    attempt: int
    digest: str = ""
    takes_steps: bool = True
    notices: list[str] = field(default_factory=lambda: list[str]())
    timings: Timings = field(default_factory=Timings)
    active: JobRun | MeshRun | None = None
    planner: RunPlanner | None = None
    memory: tuple[int | None, int | None] = (None, None)
    saved_step: int = 0
    begun: float = field(default_factory=time.perf_counter)

    @property
    def inputs(self) -> JobInputs:
        return JobInputs(paths=self.tools.paths, store=self.tools.store)

    def run(self, resume: bool) -> JobResult:
        spec = read_spec(self.tools.paths, self.job, self.digest)
        if spec.unwraps:
            return unwrap_job(spec, self.inputs.read, self.tools.store, self._tell_share)
        state = load_newest(self.tools.paths, self.job) if resume else None
        spec = _as_begun(spec, state)
        self.saved_step = 0 if state is None else state.step
        planner = self.planner = planner_of(spec, self.tools.device)
        plan = self._plan_ahead(planner, 0 if state is None else state.plan)
        while True:
            run = self._until_memory_ends(spec, plan, state)
            if run is not None:
                return self._finish(run, plan)
            later = planner.after(plan, device_memory(self.tools.device))
            if later is None:
                raise _OutOfMemoryError
            state = self._reached(later) or state
            self.forget()
            self._notice(planner.describe(later, since=plan))
            plan = later

    def _tell_share(self, done: int, of: int) -> None:
        self._check(None)
        self._progress(done, of, None)

    def _plan_ahead(self, planner: RunPlanner, least: int) -> int:
        """The first plan that fits into what is free: not every driver says so when memory runs out."""
        memory = device_memory(self.tools.device)
        cap_memory(self.tools.device, memory)
        plan = planner.choose(memory, least)
        if plan > least:
            self._notice(planner.describe(plan, memory, since=least))
        if (said := planner.announce(plan, memory)) is not None:
            self._notice(said)
        return plan

    def keep(self) -> JobResult | None:
        """Returns the result of the newest checkpoint; None without one."""
        spec = read_spec(self.tools.paths, self.job, self.digest)
        state = load_newest(self.tools.paths, self.job)
        if state is None:
            return None
        run = self._prepare(_as_begun(spec, state), state.plan, state)
        # Of a run that began anew there is nothing yet, and a plain texture is no result.
        return self._bake(run) if run.optimization.step == state.step else None

    def made_so_far(self) -> JobResult | None:
        """Returns the result of the steps that were taken; None before the first, or where it cannot be made."""
        run = self.active
        if run is None or run.optimization.step == 0:
            return None
        self.tools.send(WorkerKeeping(self.job, self.attempt), None, False)
        try:
            return self._bake(run)
        except Exception:  # noqa: BLE001 - the job is over in any case; its checkpoint is another chance
            _LOG.exception("a cancelled job's result cannot be made", extra={"job": self.job})
            return None

    def _until_memory_ends(self, spec: TextureJobSpec, plan: int, state: Saved | None) -> JobRun | MeshRun | None:
        """The run after its last step; None where memory ran out. The exception and its frames are gone by then."""
        try:
            run = self._prepare(spec, plan, state)
            self._steps(run, spec, plan)
            return run
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            _LOG.warning("out of memory with plan %d: %s", plan, error, extra={"job": self.job})
            self.memory = memory_figures()
            return None

    def _prepare(self, spec: TextureJobSpec, plan: int, state: Saved | None) -> JobRun | MeshRun:
        self.active = run = self._made_ready(spec, plan)
        for text in run.notices:
            if state is None and text not in self.notices:
                self._notice(text)
        # A state of a version that began otherwise has other steps: the run then begins anew.
        if state is not None and state.header.get("warm_steps", 0) == run.optimization.config.warm_steps:
            # The parameters do not depend on the plan, so that a smaller one can go on from a bigger one's state.
            header = {**state.header, "config": run.settings.optimize.fingerprint()}
            run.optimization.load_state_dict(state.tensors, header)
        self.timings.add("prepare", time.perf_counter() - self.begun)
        return run

    def _made_ready(self, spec: TextureJobSpec, plan: int) -> JobRun | MeshRun:
        def tell(stage: str, fraction: float) -> None:
            self._check(None)

        run, lost = make_ready(self.tools, self.inputs, spec, plan, self.takes_steps, tell)
        if lost is not None:
            _LOG.warning("kept without what was added to the model: %s", lost, extra={"job": self.job})
            self.notices.append("What the job added to its model is gone from the server; its report leaves it out.")
        return run

    def _steps(self, run: JobRun | MeshRun, spec: TextureJobSpec, plan: int) -> None:
        cadence = Cadence(self.tools.checkpoint_seconds, self.tools.checkpoint_steps)
        previews = Throttle(spec.preview.every_s)
        pace = Pace(run.optimization.config.share_done(run.optimization.step))
        steps = run.optimization.length
        self._progress(run.optimization.step, steps, None)
        for result in run.optimization.steps():
            self._count(result)
            if pace.is_due(result):
                self._progress(result.step, result.steps, pace.seconds_left(result))
            if result.step < result.steps:
                self._check(plan)
            if cadence.is_due(result.step):
                cadence.written(self._checkpoint(run, plan))
            if previews.is_due():
                previews.made(self._preview(run, spec.preview.size))
            if isinstance(run, MeshRun) and (why := run.why_over()) is not None:
                self._notice(why)
                return

    def _check(self, plan: int | None) -> None:
        """Leave, where somebody wants that; with a plan, after a checkpoint."""
        self.tools.tick()
        if self.tools.is_cancelled(self.job):
            raise _EndedEarly(Ending.CANCELLED)
        self._make_way(plan)

    def _make_way(self, plan: int | None) -> None:
        stopping = self.tools.is_stopping()
        if stopping or self.tools.must_yield(self.job):
            if plan is not None and self.active is not None:
                self._checkpoint(self.active, plan)
            raise _EndedEarly(Ending.STOPPED if stopping else Ending.YIELDED)

    def _count(self, result: StepResult) -> None:
        for stage, seconds in result.seconds.items():
            self.timings.add(stage, seconds)
        for note in self.active.optimization.finite.notes if self.active is not None else ():
            if note not in self.notices:
                self._notice(note)

    def _progress(self, step: int, steps: int, eta: float | None) -> None:
        self.tools.send(WorkerProgress(self.job, self.attempt, step, steps, eta), None, True)

    def _notice(self, text: str) -> None:
        self.notices.append(text)
        self.tools.send(WorkerNotice(self.job, text), None, False)

    def _checkpoint(self, run: JobRun | MeshRun, plan: int) -> float:
        """Write one; returns how long it took. A full disk costs the job its checkpoint, not its life."""
        start = time.perf_counter()
        tensors, header = run.optimization.state_dict()
        try:
            save(self.tools.paths, self.job, Saved(tensors=tensors, header=header, plan=plan))
        except (CheckpointError, OSError) as error:
            _LOG.warning("no checkpoint: %s", error, extra={"job": self.job, "step": run.optimization.step})
            why = "its disk is full" if is_disk_full(error) else "writing it failed"
            text = f"The server could not keep a checkpoint ({why}); if it stops now, this job starts again."
            if text not in self.notices:
                self._notice(text)
        else:
            self.saved_step = run.optimization.step
            self.tools.send(WorkerCheckpoint(self.job, run.optimization.step), None, False)
        seconds = time.perf_counter() - start
        self.timings.add("checkpoints", seconds)
        return seconds

    def _preview(self, run: JobRun | MeshRun, size: int) -> float:
        start = time.perf_counter()
        for message, pixels in preview_messages(self.job, run, size):
            self.tools.send(message, pixels, True)
        seconds = time.perf_counter() - start
        self.timings.add("previews", seconds)
        return seconds

    def _finish(self, run: JobRun | MeshRun, plan: int) -> JobResult:
        self._check(plan)
        result = self._bake(run, lambda: self._make_way(plan))
        if self.tools.is_stopping():
            # Nobody may be there any more to hear of the result.
            self._checkpoint(run, plan)
        return result

    def _bake(self, run: JobRun | MeshRun, look_up: Callable[[], None] = lambda: None) -> JobResult:
        """The result of the run as it is. `look_up` is asked before the files are written."""
        start, store, notices = time.perf_counter(), self.tools.store, tuple(self.notices)

        def ready() -> None:
            self.timings.add("bake", time.perf_counter() - start)
            self.tools.tick()
            look_up()
            self.timings.add("total", time.perf_counter() - self.begun)

        if isinstance(run, MeshRun):
            mesh = run.bake()
            ready()
            return write_shape(store, run, mesh, self.timings, notices)
        texture = run.bake()
        ready()
        return write_result(store, run, texture, self.timings, notices)

    def _reached(self, plan: int) -> Saved | None:
        """What the run had reached when memory ended; None before its first step."""
        run = self.active
        return None if run is None or run.optimization.step == 0 else Saved.on_cpu(run.optimization, plan)

    def out_of_memory(self) -> WireError:
        """Returns the error for a job that does not fit even with the last plan."""
        used, free = self.memory
        return out_of_memory_error(used, free, self.planner.suggestion() if self.planner else "")

    def forget(self) -> None:
        """Lets go of the run's memory."""
        self.active = None
        release_cached_memory()
