# SPDX-License-Identifier: Apache-2.0
"""Shape runs that go on where they were: a checkpoint in the run's folder, tied to all that decides its steps."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pgc.errors import CheckpointError
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.runs.checkpoint import load_checkpoint, save_checkpoint
from pgc.runs.folder import RunFolder
from pgc.runs.report import plain

__all__ = ["Checkpoints", "RunMark", "keep", "mark_of", "take_up"]

Checkpoints = Literal["none", "write", "resume"]
"""Whether a run leaves something to go on from, or begins with what an earlier one left."""
RunMark = str
"""Of all that decides a run's steps."""


def mark_of(**parts: Any) -> RunMark:  # noqa: ANN401 - whatever a report can hold
    """Returns the mark of a run by what it was asked for."""
    return hashlib.sha256(json.dumps(plain(parts), sort_keys=True).encode()).hexdigest()


def keep(folder: Path, loop: DistillationLoop, mark: RunMark) -> None:
    """Writes what a run has reached.

    Raises:
        CheckpointError: the file cannot be written.
    """
    tensors, header = loop.state_dict()
    save_checkpoint(RunFolder(folder).checkpoint, tensors, {**header, "shape_run": mark})


def take_up(folder: Path, loop: DistillationLoop, mark: RunMark) -> None:
    """Goes on with what an earlier run of the same mark left.

    Raises:
        CheckpointError: there is none, it is damaged, or of another run.
    """
    tensors, header = load_checkpoint(RunFolder(folder).checkpoint)
    if header.get("shape_run") != mark:
        raise CheckpointError(
            "The checkpoint was written by a run of another mesh, prompt, model or choice; resume with those in its "
            "run.json, or start a new run in another folder."
        )
    loop.load_state_dict(tensors, header)
