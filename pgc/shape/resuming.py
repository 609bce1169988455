# SPDX-License-Identifier: Apache-2.0
"""Shape runs that go on where they were: a checkpoint in the run's folder, tied to all that decides its steps."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from pgc.errors import CheckpointError
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.runs.checkpoint import load_checkpoint, save_checkpoint
from pgc.runs.folder import RunFolder
from pgc.runs.report import plain

__all__ = ["Checkpoints", "RunMark", "keep", "mark_of", "saved_by"]

Checkpoints = Literal["none", "write", "resume"]
"""Whether a run leaves something to go on from, or begins with what an earlier one left."""
RunMark = str
"""Of all that decides a run's steps."""


def mark_of(**parts: Any) -> RunMark:  # noqa: ANN401 - whatever a report can hold
    """Returns the mark of a run by what it was asked for."""
    return hashlib.sha256(json.dumps(plain(parts), sort_keys=True).encode()).hexdigest()


def keep(folder: Path, loop: DistillationLoop, mark: RunMark, plan: int = 0) -> None:
    """Writes what a run has reached, and by which memory plan.

    Raises:
        CheckpointError: the file cannot be written.
    """
    tensors, header = loop.state_dict()
    save_checkpoint(RunFolder(folder).checkpoint, tensors, {**header, "shape_run": mark, "plan": plan})


def saved_by(folder: Path, mark: RunMark) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns what an earlier run of the same mark left, as `DistillationLoop.load_state_dict` takes it.

    Raises:
        CheckpointError: there is none, it is damaged, or of another run.
    """
    tensors, header = load_checkpoint(RunFolder(folder).checkpoint)
    if header.get("shape_run") != mark:
        raise CheckpointError(
            "The checkpoint was written by a run of another mesh, prompt, model or choice; resume with those in its "
            "run.json, or start a new run in another folder."
        )
    return tensors, header
