# SPDX-License-Identifier: Apache-2.0
"""Runs a shape request into a folder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgc.guidance.base import Guidance
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import GuidanceSpec
from pgc.mesh import load_mesh
from pgc.optimization.config import Prompt
from pgc.optimization.step_result import StepResult
from pgc.runs.earlier_run import EarlierRun
from pgc.runs.folder import RunFolder
from pgc.runs.prompt_warnings import prompt_warnings
from pgc.runs.report import mesh_facts, plain
from pgc.shape.outcome import REPORT, write_shape, write_shape_report
from pgc.shape.picture import GivenPicture, ball, turned
from pgc.shape.prepared import PreparedShape, prepare_shape
from pgc.shape.rendering.choice import renderer_name
from pgc.shape.resuming import Checkpoints, keep, mark_of, take_up
from pgc.shape.settings import ShapeSettings

__all__ = ["ShapeHooks", "ShapeRequest", "refine_shape"]

_CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeRequest:
    """What is asked for."""

    mesh: Path | None
    """None: a ball; with a picture, its outline, turned round."""
    prompt: Prompt
    settings: ShapeSettings
    prior: GuidanceSpec | Zero123Spec | None = None
    """What the prior was loaded from, for the report."""
    picture: GivenPicture | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShapeHooks:
    """How the caller follows a run and ends it."""

    on_note: Callable[[str], None] = lambda text: None
    on_step: Callable[[StepResult], None] = lambda result: None
    should_stop: Callable[[], bool] = lambda: False
    """Asked after every step; True ends the run, whose shape of then is written."""


def refine_shape(
    request: ShapeRequest, guidance: Guidance, folder: Path, hooks: ShapeHooks, *, checkpoints: Checkpoints = "none"
) -> bool:
    """Learns a shape from a blockout, and writes it to a folder; returns whether all steps were taken.

    With checkpoints, a run that is not finished leaves checkpoint.safetensors to go on from: once a minute, and when it
    is stopped.

    Raises:
        PgcError: something is missing, damaged or does not fit.
    """
    begun = time.perf_counter()
    path, picture = request.mesh, request.picture
    before = hashlib.sha256(path.read_bytes()).hexdigest() if path is not None and path.is_file() else ""
    view = None if picture is None else picture.view
    mesh = load_mesh(path) if path is not None else ball() if view is None else turned(view)
    run = prepare_shape(mesh, guidance, request.prompt, request.settings, reference_view=view)
    notes = (*_notes(run, request), *prompt_warnings(guidance, request.prompt))
    for note in notes:
        hooks.on_note(note)
    seconds = {"prepare": time.perf_counter() - begun}
    of_picture = {} if picture is None else {"picture": picture.facts()}
    mark = mark_of(mesh=before, prompt=request.prompt, prior=request.prior, settings=request.settings, **of_picture)
    if checkpoints == "resume":
        take_up(folder, run.loop, mark)
    keeping = None if checkpoints == "none" else lambda: keep(folder, run.loop, mark)
    why = _learn(run, hooks, seconds, keeping)
    if keeping is not None:
        # What follows may fail for want of room, and the last steps would be lost.
        keeping()
    notes = notes if why is None else (*notes, why)
    finished = run.loop.step == run.loop.length
    files = write_shape(folder, run.result(), run.scene)
    seconds["total"] = time.perf_counter() - begun
    content: dict[str, Any] = {
        "state": "finished" if finished else "interrupted",
        "mesh": {"file": mesh.name if path is None else path.name, "sha256": before, **mesh_facts(run.blockout)},
        "prompt": request.prompt,
        "guidance": guidance.name,
        "prior": request.prior,
        "device": str(guidance.device),
        "renderer": renderer_name(run.scene.renderer),
        "settings": request.settings,
        "seed": request.settings.optimize.seed,
        "steps_done": run.loop.step,
        "warnings": (*notes, *run.loop.finite.notes),
        "regulation": plain(run.loop.regulation_summary()),
        "seconds": {stage: round(share, 3) for stage, share in seconds.items()},
        "files": files,
        **of_picture,
    }
    write_shape_report(folder / REPORT, content)
    EarlierRun(folder).drop()
    if finished:
        RunFolder(folder).checkpoint.unlink(missing_ok=True)
    return finished


def _learn(
    run: PreparedShape, hooks: ShapeHooks, seconds: dict[str, float], keeping: Callable[[], None] | None
) -> str | None:
    """Takes the steps that are left. Returns why the run is over early, where no further step helps.

    Args:
        seconds: by stage, to be added to. keeping: writes a checkpoint.
    """
    due = time.perf_counter() + _CHECKPOINT_SECONDS
    for result in run.loop.steps():
        for stage, share in result.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + share
        hooks.on_step(result)
        if (why := run.why_over()) is not None:
            hooks.on_note(why)
            return why
        stops = result.step < result.steps and hooks.should_stop()
        if keeping is not None and (stops or time.perf_counter() > due):
            keeping()
            due = time.perf_counter() + _CHECKPOINT_SECONDS
        if stops:
            break
    return None


def _notes(run: PreparedShape, request: ShapeRequest) -> tuple[str, ...]:
    given = () if request.picture is None else request.picture.notes
    if request.mesh is None:
        return given
    notes = (*run.blockout.report.warnings, *given)
    triangles, times = len(run.blockout.triangles.faces), run.wished_subdivisions()
    if times and request.picture is None:
        wished = request.settings.subdivide + times
        notes = (
            *notes,
            f"The mesh has {triangles:,} triangles, which hold little detail; --subdivide {wished} gives it "
            f"{triangles * 4**times:,}.",
        )
    return notes
