# SPDX-License-Identifier: Apache-2.0
"""Runs a shape request into a folder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from pgc.guidance.base import Guidance
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import GuidanceSpec, OracleSpec
from pgc.mesh import Mesh, load_mesh
from pgc.optimization.config import Prompt
from pgc.optimization.step_result import StepResult
from pgc.runs.earlier_run import EarlierRun
from pgc.runs.folder import RunFolder
from pgc.runs.memory.fitting import Attempt, PriorSource, until_it_fits
from pgc.runs.memory.plan import SubjectPlanner
from pgc.runs.prompt_warnings import prompt_warnings
from pgc.runs.report import mesh_facts, plain
from pgc.runs.request import saved_plan
from pgc.shape.memory import shape_needs
from pgc.shape.outcome import REPORT, write_shape, write_shape_report
from pgc.shape.picture import GivenPicture, ball, turned
from pgc.shape.prepared import PreparedShape, prepare_shape
from pgc.shape.rendering.choice import renderer_name
from pgc.shape.resuming import Checkpoints, RunMark, keep, mark_of, saved_by, told_by_versions
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
    progress: Callable[[str, float], None] = lambda stage, fraction: None
    """Told the name of a slow stage before the steps, and how much of it is done."""
    on_step: Callable[[StepResult], None] = lambda result: None
    should_stop: Callable[[], bool] = lambda: False
    """Asked after every step; True ends the run, whose shape of then is written."""


def refine_shape(
    request: ShapeRequest,
    prior: Guidance | PriorSource,
    folder: Path,
    hooks: ShapeHooks,
    *,
    checkpoints: Checkpoints = "none",
) -> bool:
    """Learns a shape from a blockout, and writes it to a folder; returns whether all steps were taken.

    With checkpoints, a run that is not finished leaves checkpoint.safetensors to go on from: once a minute, and when it
    is stopped. A prior that is still to be loaded is loaded behind the mesh, by the memory plan that fits.

    Raises:
        PgcError: something is missing, damaged or does not fit.
    """
    begun = time.perf_counter()
    path, picture = request.mesh, request.picture
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path is not None and path.is_file() else ""
    view = None if picture is None else picture.view
    mesh = load_mesh(path) if path is not None else ball() if view is None else turned(view)
    of_picture = {} if picture is None else {"picture": picture.facts()}
    parts = {"mesh": digest, "prompt": request.prompt, "prior": request.prior, **of_picture}
    marks = [mark_of(told, parts) for told in told_by_versions(request.settings)]
    given = _Given(
        request=request,
        source=prior if isinstance(prior, PriorSource) else PriorSource.of(prior),
        folder=folder,
        hooks=hooks,
        writes=checkpoints != "none",
        begun=begun,
        mesh=mesh,
        digest=digest,
        mark=marks[0],
        saved=saved_by(folder, marks) if checkpoints == "resume" else None,
    )
    planner = SubjectPlanner(
        spec=request.prior or OracleSpec(), subject=shape_needs(request.settings), device=given.source.device
    )
    least = 0 if given.saved is None else saved_plan(given.saved[1])
    return until_it_fits(planner, lambda attempt: _shaped(given, attempt), hooks.on_note, least=least)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Given:
    """What all attempts at a run have in common."""

    request: ShapeRequest
    source: PriorSource
    folder: Path
    hooks: ShapeHooks
    writes: bool
    """Whether checkpoints are."""
    begun: float
    mesh: Mesh
    digest: str
    """Of the mesh's file."""
    mark: RunMark
    saved: tuple[dict[str, Tensor], dict[str, Any]] | None


def _shaped(given: _Given, attempt: Attempt) -> bool:
    """One attempt; returns whether all steps were taken."""
    request, hooks, picture = given.request, given.hooks, given.request.picture
    guidance = given.source.load(attempt.run.spec)
    view = None if picture is None else picture.view
    settings = replace(request.settings, optimize=attempt.run.optimize)
    run = prepare_shape(given.mesh, guidance, request.prompt, settings, reference_view=view, progress=hooks.progress)
    notes = (*_notes(run, request), *prompt_warnings(guidance, request.prompt))
    for note in notes if attempt.reached is None else ():
        hooks.on_note(note)
    seconds = {"prepare": time.perf_counter() - given.begun}
    attempt.begin(run.loop, given.saved)
    keeping = None
    if given.writes:
        keeping = partial(keep, given.folder, run.loop, given.mark, attempt.number)
    why = _learn(run, hooks, seconds, keeping)
    if keeping is not None:
        # What follows may fail for want of room, and the last steps would be lost.
        keeping()
    notes = (*attempt.notes, *notes) if why is None else (*attempt.notes, *notes, why)
    finished = run.loop.step == run.loop.length
    files = write_shape(given.folder, run.result(), run.scene)
    seconds["total"] = time.perf_counter() - given.begun
    content = _report(given, run, guidance, notes)
    content = {
        "state": "finished" if finished else "interrupted",
        **content,
        "memory_plan": attempt.run.plan,
        "seconds": {stage: round(share, 3) for stage, share in seconds.items()},
        "files": files,
    }
    write_shape_report(given.folder / REPORT, content)
    EarlierRun(given.folder).drop()
    if finished:
        RunFolder(given.folder).checkpoint.unlink(missing_ok=True)
    return finished


def _report(given: _Given, run: PreparedShape, guidance: Guidance, notes: tuple[str, ...]) -> dict[str, Any]:
    request = given.request
    name = given.mesh.name if request.mesh is None else request.mesh.name
    return {
        "mesh": {"file": name, "sha256": given.digest, **mesh_facts(run.blockout)},
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
        **({} if request.picture is None else {"picture": request.picture.facts()}),
    }


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
