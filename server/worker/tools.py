# SPDX-License-Identifier: Apache-2.0
"""What a job gets from its worker and gives back, and its pace."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch

from blender_addon.protocol.errors import WireError
from blender_addon.protocol.messages import JobResult
from pgc.guidance.base import Guidance
from pgc.optimization.step_result import StepResult
from pgc.rendering.raster.choice import RasterizerName
from server.config import ServerPaths
from server.recipes import PriorSpec
from server.storage.blobs import BlobStore

__all__ = ["Ending", "JobOutcome", "JobTools", "Pace"]

_PROGRESS_SECONDS = 0.1


class Ending(Enum):
    """How a run came to its end."""

    DONE = "done"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    """The server stops, or is gone: a checkpoint is on the disk, and the job goes on later."""
    YIELDED = "yielded"
    """The job makes room, on a checkpoint; the worker takes the next one."""
    FAILED = "failed"
    STICKY = "sticky"
    """CUDA is unusable in this process, which must end."""


@dataclass(frozen=True)
class JobOutcome:
    """`result` where it is done, or was cancelled after a step; `error` where it failed; `step` of the checkpoint where
    it made room."""

    ending: Ending
    result: JobResult | None = None
    step: int = 0
    error: WireError | None = None


@dataclass(frozen=True, kw_only=True)
class JobTools:
    """What a job needs of its worker.

    Args:
        send: takes a message to the broker, its payload, and whether it may be lost.
        tick: is called with each sign of life.
        is_cancelled: whether the artist wants this job to end; asked each step and between slow stages.
        must_yield: whether this job is to checkpoint and make room.
        is_stopping: whether the worker is to checkpoint and end.
        checkpoint_seconds: least time between checkpoints; checkpoint_steps: a fixed number of steps, for tests.
    """

    paths: ServerPaths
    store: BlobStore
    device: torch.device
    guidance_for: Callable[[PriorSpec, torch.device], Guidance]
    send: Callable[[Any, bytes | None, bool], None]
    tick: Callable[[], None] = lambda: None
    is_cancelled: Callable[[str], bool] = lambda job: False
    must_yield: Callable[[str], bool] = lambda job: False
    is_stopping: Callable[[], bool] = lambda: False
    checkpoint_seconds: float = 20.0
    checkpoint_steps: int | None = None
    rasterizer: RasterizerName = "auto"


class Pace:
    """When to tell the progress, and how long the rest takes. It begins at a share of the run's work."""

    def __init__(self, first: float) -> None:
        self._first = first
        self._start = time.monotonic()
        self._told = 0.0

    def is_due(self, result: StepResult) -> bool:
        """Says whether progress is to be told now; of the last step always."""
        now = time.monotonic()
        if result.step < result.steps and now - self._told < _PROGRESS_SECONDS:
            return False
        self._told = now
        return True

    def seconds_left(self, result: StepResult) -> float | None:
        """Estimates the seconds that are left from those that the work so far took; None before the first step."""
        done = result.share - self._first
        return (time.monotonic() - self._start) / done * (1.0 - result.share) if done > 0 else None
