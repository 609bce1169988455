# SPDX-License-Identifier: Apache-2.0
"""What the processes of a shared run have in common, and what all but the first do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pgc.errors import ConfigError
from pgc.optimization.ranks import Ranks, share
from pgc.runs.checkpoint import load_checkpoint
from pgc.runs.request import TextureRequest, TextureRun, prepare_run, saved_plan

__all__ = ["follow", "share_run"]


def share_run(run: TextureRun, ranks: Ranks) -> None:
    """Shares a run out among the processes of `ranks`, each of which has prepared it.

    Raises:
        ConfigError: the processes planned for different memory, or the run cannot be shared out.
    """
    if not ranks.agree(run.plan_number):
        raise ConfigError(
            "The graphics cards of this run have room for different plans; close what else uses them, or ask for less "
            "(--views, --resolution)."
        )
    share(run.optimization, ranks)


def follow(
    request: TextureRequest, ranks: Ranks, *, checkpoint: Path | None, should_stop: Callable[[], bool]
) -> TextureRun:
    """Takes the steps of a run whose first process writes and shows it, and returns the run as it was left.

    Args:
        request: what to do, the same as the first process's.
        ranks: the processes.
        checkpoint: where the run goes on from; None: from the beginning.
        should_stop: asked between two steps, as the first process asks.

    Raises:
        PgcError: something is missing, damaged or does not fit.
    """
    saved = None if checkpoint is None else load_checkpoint(checkpoint)
    run = prepare_run(request, least_plan=0 if saved is None else saved_plan(saved[1]))
    if saved is not None:
        run.resume_from(*saved)
    share_run(run, ranks)
    for result in run.optimization.steps():
        if result.step < result.steps and should_stop():
            break
    return run
