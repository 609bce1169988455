# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a job: safetensors, the last two kept, each on the disk before the one before last goes."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pgc.errors import CheckpointError
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.runs.checkpoint import load_checkpoint, save_checkpoint
from server.config import ServerPaths
from server.platform import fsync_directory, replace

__all__ = ["Cadence", "Saved", "load_newest", "save", "spec_hash"]

_LOG = logging.getLogger(__name__)
_WRITE_SHARE = 20.0
"""Checkpoints take at most a twentieth of the time."""
_LONGEST_STEP_FADES = 0.9
"""A slow step is expected again, less so with each that is not."""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """The state of a run.

    Args:
        tensors, header: of `DistillationLoop.state_dict`.
        plan: memory plan of the run (`pgc.runs.memory.plan`).
    """

    tensors: Mapping[str, Tensor]
    header: Mapping[str, Any]
    plan: int

    @property
    def step(self) -> int:
        """Steps that are done."""
        return int(self.header["step"])

    @classmethod
    def on_cpu(cls, optimization: DistillationLoop, plan: int) -> Saved:
        """Returns the run as it is, copied off its device: to go on from with another plan."""
        tensors, header = optimization.state_dict()
        copies = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
        return cls(tensors=copies, header=header, plan=plan)


def spec_hash(paths: ServerPaths, job: str) -> str:
    """Returns the SHA-256 of the job's specification, which ties a checkpoint to it."""
    return hashlib.sha256(paths.spec(job).read_bytes()).hexdigest()


def save(paths: ServerPaths, job: str, state: Saved) -> None:
    """Writes a checkpoint, durably; the one before it stays as the previous one.

    Raises:
        CheckpointError: it cannot be written. What was there stays.
        OSError: the same, on the way to its place.
    """
    newest, folder = paths.checkpoint(job), paths.job(job)
    fresh = folder / "checkpoint.new.safetensors"
    save_checkpoint(fresh, state.tensors, {**state.header, "plan": state.plan, "spec": spec_hash(paths, job)})
    _flush(fresh)
    # Between these two renames there is no newest one, and the previous one is what a resume takes.
    if newest.is_file():
        replace(newest, paths.previous_checkpoint(job))
    replace(fresh, newest)
    fsync_directory(folder)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load_newest(paths: ServerPaths, job: str) -> Saved | None:
    """Returns the newest checkpoint that can be read and is of this job; None without one. Damaged ones are logged."""
    expected = spec_hash(paths, job)
    # The first one was about to take its place when the worker died: it is whole, or it cannot be read.
    candidates = (paths.checkpoint(job), paths.previous_checkpoint(job))
    for path in candidates:
        if not path.is_file():
            continue
        try:
            tensors, header = load_checkpoint(path)
            saved = Saved(tensors=tensors, header=header, plan=int(header["plan"]))
            is_of_job = header["spec"] == expected and saved.step >= 0
        except (CheckpointError, OSError, KeyError, TypeError, ValueError, OverflowError) as error:
            _LOG.warning("checkpoint left out: %s", error, extra={"job": job})
            continue
        if is_of_job:
            return saved
        _LOG.warning("checkpoint left out: it is of another specification", extra={"job": job})
    return None


class Cadence:
    """When the next checkpoint is due: soon enough that no more than `seconds` of work are at stake, the step and the
    writing that come before it is safe included; but 20 times as long after the last one as writing that took. Or
    after so many steps, for tests."""

    def __init__(self, seconds: float, steps: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._steps = steps
        self._clock = clock
        self._asked = clock()
        self._step = 0.0
        self._write = 0.0
        self._earliest = self._asked
        self._safe_by = self._asked + seconds

    def is_due(self, step: int) -> bool:
        """Says whether to write a checkpoint after this step. To be asked after each."""
        now = self._clock()
        self._step = max(now - self._asked, _LONGEST_STEP_FADES * self._step)
        self._asked = now
        if self._steps is not None:
            return step % self._steps == 0
        return now >= self._earliest and now + self._step + self._write >= self._safe_by

    def written(self, seconds: float) -> None:
        """Takes note that a checkpoint was written (or could not be), which took `seconds`."""
        now = self._clock()
        self._asked, self._write = now, seconds
        self._earliest = now + _WRITE_SHARE * seconds
        self._safe_by = now - seconds + self._seconds
