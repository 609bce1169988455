# SPDX-License-Identifier: Apache-2.0
"""Shape runs that go on where they were: a checkpoint in the run's folder, tied to all that decides its steps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor

from pgc.errors import CheckpointError
from pgc.optimization.config import OptimizeConfig
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.runs.checkpoint import load_checkpoint, save_checkpoint
from pgc.runs.folder import RunFolder
from pgc.runs.report import plain

__all__ = ["Checkpoints", "HasOptimize", "RunMark", "keep", "mark_of", "saved_by", "told_by_versions"]

Checkpoints = Literal["none", "write", "resume"]
"""Whether a run leaves something to go on from, or begins with what an earlier one left."""
RunMark = str
"""Of all that decides a run's steps."""


@runtime_checkable
class HasOptimize(Protocol):
    """Settings of a run that holds those of its loop."""

    @property
    def optimize(self) -> OptimizeConfig:
        """What decides the loop's outcome."""
        ...


def told_by_versions(settings: HasOptimize) -> list[dict[str, Any]]:
    """Returns settings as plain JSON values, as each version told them: today's first, which leaves out what is off and
    came later than the rest; then those that wrote some of it out."""
    whole, unchosen = plain(settings), settings.optimize.unchosen()
    told = []
    for known in range(len(unchosen) + 1):
        kept = {name: value for name, value in whole["optimize"].items() if name not in unchosen[known:]}
        told.append({**whole, "optimize": kept})
    return told


def mark_of(told: Mapping[str, Any], parts: Mapping[str, object]) -> RunMark:
    """Returns the mark of a run by its settings, as a version told them, and what else it was asked for."""
    return hashlib.sha256(json.dumps({**plain(parts), "settings": told}, sort_keys=True).encode()).hexdigest()


def keep(folder: Path, loop: DistillationLoop, mark: RunMark, plan: int = 0) -> None:
    """Writes what a run has reached, and by which memory plan.

    Raises:
        CheckpointError: the file cannot be written.
    """
    tensors, header = loop.state_dict()
    save_checkpoint(RunFolder(folder).checkpoint, tensors, {**header, "shape_run": mark, "plan": plan})


def saved_by(folder: Path, marks: Collection[RunMark]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns what an earlier run of one of the marks left, as `DistillationLoop.load_state_dict` takes it.

    Raises:
        CheckpointError: there is none, it is damaged, or of another run.
    """
    tensors, header = load_checkpoint(RunFolder(folder).checkpoint)
    if header.get("shape_run") not in marks:
        raise CheckpointError(
            "The checkpoint was written by a run of another mesh, prompt, model or choice; resume with those in its "
            "run.json, or start a new run in another folder."
        )
    return tensors, header
