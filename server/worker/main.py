# SPDX-License-Identifier: Apache-2.0
"""The worker process: takes one job after another from the broker until it is told to end."""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import logging
import os
import platform
import threading
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import torch

from blender_addon.protocol.errors import WireError
from blender_addon.protocol.messages import ModelInfo
from pgc.devices import DeviceName, release_cached_memory, resolve_device
from pgc.rendering.raster.choice import check_rasterizer, checked_rasterizer
from server.children.link import BrokerGone, Incoming, Link
from server.children.messages import (
    CancelRun,
    FreeGpu,
    Ready,
    Run,
    Stop,
    WorkerCancelled,
    WorkerDone,
    WorkerFailed,
    WorkerYielded,
    YieldRun,
)
from server.children.priority import lower_priority
from server.children.settings import ChildSettings
from server.config import ServerPaths
from server.errors import ConfigError
from server.storage.blobs import BlobStore
from server.storage.named_files import NamedFiles
from server.worker.job import Ending, JobOutcome, JobTools, keep_job, run_job
from server.worker.model_store import ModelStore
from server.worker.priors import Priors, load_prior, model_states, named_states

__all__ = ["EXIT_STICKY", "Control", "choose_device", "serve"]

_LOG = logging.getLogger(__name__)
EXIT_STICKY = 70
"""CUDA is unusable in this process; the broker starts another."""
_POLL_SECONDS = 0.5
_POLLS_BEFORE_WARM_UP = 3
_PACKAGES = ("pgc-texture", "torch", "diffusers", "transformers", "warp-lang", "numpy")


class Control:
    """What the broker wants of the running job; set by the link's thread, read by the job between steps."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled: set[str] = set()
        self._yielding: set[str] = set()
        self._stopping = threading.Event()
        self.warming_up = False
        """Nothing is at stake yet, and the main thread looks at nothing: a stop ends the process at once."""

    def watch(self, message: Incoming) -> None:
        """Looks at a message before the main thread does."""
        if isinstance(message, CancelRun):
            with self._lock:
                self._cancelled.add(message.job)
        elif isinstance(message, YieldRun):
            with self._lock:
                self._yielding.add(message.job)
        elif isinstance(message, Run):
            # An older wish about the same job was answered, or came when it did not run here.
            with self._lock:
                self._cancelled.discard(message.job)
                self._yielding.discard(message.job)
        elif isinstance(message, Stop | BrokerGone):
            self._stopping.set()
            if self.warming_up:
                os._exit(0)

    def is_cancelled(self, job: str) -> bool:
        """Says whether the job is to end."""
        with self._lock:
            return job in self._cancelled

    def must_yield(self, job: str) -> bool:
        """Says whether the job is to make room for another one."""
        with self._lock:
            return job in self._yielding

    def is_stopping(self) -> bool:
        """Says whether the worker itself is to end."""
        return self._stopping.is_set()


def choose_device(name: str, index: int) -> torch.device:
    """Returns the device of the worker with this number: workers share the graphics cards in turn.

    Raises:
        pgc.errors.ConfigError: the device is not there.
    """
    device = resolve_device(cast(DeviceName, name))
    if device.type != "cuda":
        return device
    chosen = torch.device("cuda", index % torch.cuda.device_count())
    torch.cuda.set_device(chosen)
    return chosen


def serve(settings: ChildSettings, stdin: IO[bytes]) -> int:
    """Works until the broker says stop or is gone; returns the exit code."""
    paths = ServerPaths(Path(settings.data_dir))
    device = choose_device(settings.device, settings.index)
    rasterizer = checked_rasterizer(settings.rasterizer)
    check_rasterizer(rasterizer, device)
    if device.type == "cpu" and settings.low_priority:
        _LOG.info("priority lowered to %d", lower_priority())
    models = ModelStore(paths.models)
    load = partial(load_prior, words=paths.words)
    priors, control = Priors(models, load, asked=cast(DeviceName, settings.device)), Control()
    link = Link(settings, stdin, watchdog=True)
    link.watch(control.watch)
    link.start(
        Ready(
            role=settings.role,
            index=settings.index,
            pid=os.getpid(),
            versions=_versions(),
            devices=(_describe(device),),
            models=(*model_states(models), *_named(paths)),
        )
    )

    def tick() -> None:
        link.step_counter += 1

    def send(message: Any, payload: bytes | None, may_be_lost: bool) -> None:  # noqa: ANN401 - see Link.send
        link.send(message, payload, may_be_lost=may_be_lost)

    tools = JobTools(
        paths=paths,
        store=BlobStore(paths.blobs),
        device=device,
        rasterizer=rasterizer,
        guidance_for=priors.get,
        send=send,
        tick=tick,
        is_cancelled=control.is_cancelled,
        must_yield=control.must_yield,
        is_stopping=control.is_stopping,
        checkpoint_seconds=settings.checkpoint_seconds,
    )
    try:
        return _loop(link, control, tools, priors)
    finally:
        link.close()


def _warm_up(control: Control) -> None:
    """Import what the first job would wait for, in a moment when there is none. No weights are loaded."""
    control.warming_up = True
    importlib.import_module("pgc.guidance.diffusion.loading")
    # An optimiser's first construction imports torch's compiler.
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    gc.freeze()
    control.warming_up = False


def _loop(link: Link, control: Control, tools: JobTools, priors: Priors) -> int:
    idle_polls = 0
    # Half a million objects of imported modules stay for good: no collection need look through them, at 250 ms each.
    gc.freeze()
    while not control.is_stopping():
        message = link.receive(timeout=_POLL_SECONDS)
        idle_polls += message is None
        if message is None and idle_polls == _POLLS_BEFORE_WARM_UP:
            _warm_up(control)
        elif isinstance(message, Run):
            if message.keep_only:
                outcome = keep_job(tools, message.job, message.attempt, message.digest)
            else:
                outcome = run_job(tools, message.job, message.attempt, message.resume, message.digest)
            _report(link, message, outcome)
            # After the report: looking for what is not used any more takes longer than a cancel may.
            release_cached_memory()
            if outcome.ending is Ending.STICKY:
                return EXIT_STICKY
        elif isinstance(message, FreeGpu):
            priors.free()
    return 0


def _report(link: Link, run: Run, outcome: JobOutcome) -> None:
    """Tell the broker how a run ended. One that was stopped says nothing: it goes on in another process."""
    extra = {"job": run.job, "attempt": run.attempt}
    _LOG.info("run ended: %s", outcome.ending.value, extra=extra)
    if outcome.ending is Ending.DONE and outcome.result is not None:
        link.send(WorkerDone(run.job, run.attempt, outcome.result))
    elif outcome.ending is Ending.CANCELLED:
        link.send(WorkerCancelled(run.job, run.attempt, outcome.result))
    elif outcome.ending is Ending.YIELDED:
        link.send(WorkerYielded(run.job, run.attempt, outcome.step))
    elif outcome.error is not None:
        _tell_failure(link, run, outcome.error)


def _tell_failure(link: Link, run: Run, error: WireError) -> None:
    _LOG.info("failed with %s", error.code, extra={"job": run.job, "attempt": run.attempt, "err_id": error.err_id})
    link.send(WorkerFailed(run.job, run.attempt, error))


def _named(paths: ServerPaths) -> tuple[ModelInfo, ...]:
    try:
        return named_states(NamedFiles(paths.models))
    except ConfigError as error:
        # Jobs that choose from the list are told; all others go on.
        _LOG.warning("%s", error)
        return ()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def _describe(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} {torch.cuda.get_device_name(device)}"
    return str(device)
