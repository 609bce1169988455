# SPDX-License-Identifier: Apache-2.0
"""Runs a volume request into a folder: from a prompt to a mesh, and to its texture."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from pgc.errors import MeshError
from pgc.guidance.base import Guidance
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import PocketSpec
from pgc.mesh import PreparedMesh, prepare_mesh
from pgc.optimization.step_result import StepResult
from pgc.runs.earlier_run import EarlierRun
from pgc.runs.folder import RunFolder
from pgc.runs.memory.fitting import Attempt, PriorSource, until_it_fits
from pgc.runs.memory.plan import SubjectPlanner
from pgc.runs.recorder import RunHooks
from pgc.runs.report import mesh_facts, plain
from pgc.runs.request import saved_plan
from pgc.runs.sources.reading import digest_of
from pgc.volume.finish import VolumeMesh, texture_volume
from pgc.volume.memory import volume_needs
from pgc.volume.outcome import MESH_FILES, REPORT, TEXTURE_FOLDER, write_volume, write_volume_report
from pgc.volume.prepared import PreparedVolume, begun_distances, prepare_volume
from pgc.volume.request import SavedVolume, VolumeRequest, as_begun, check_request
from pgc.volume.start import BallStart, NamedStart, named_in
from pgc.volume.surface import surface_mesh, volume_surface

__all__ = ["VolumeHooks", "VolumeRequest", "check_request", "imagine"]

_CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeHooks:
    """How the caller follows a run and ends it."""

    on_note: Callable[[str], None] = lambda text: None
    progress: Callable[[str, float], None] = lambda stage, fraction: None
    """Told the name of a slow stage before the steps, and how much of it is done."""
    on_stage: Callable[[str], None] = lambda name: None
    """Told "volume", "mesh" and "texture" as each begins."""
    on_step: Callable[[StepResult], None] = lambda result: None
    """After each step of the volume, and then of the texture."""
    should_stop: Callable[[], bool] = lambda: False
    """Asked after every step; True ends the run, and what is there is written."""


def imagine(
    request: VolumeRequest, prior: Guidance | PriorSource, folder: Path, hooks: VolumeHooks, *, resume: bool = False
) -> bool:
    """Learns a volume from a prompt, makes a mesh of it and textures that; returns whether all steps were taken.

    The folder must be claimed, or hold the run that is to be resumed. It gets volume.glb, volume.obj, preview.png,
    run.json, the folder "texture" of a texture run, and imagined.glb, its textured mesh. A run that is stopped has
    what there is of these, and checkpoint.safetensors to go on from. A prior that is still to be loaded is loaded
    behind what the volume begins as, by the memory plan that fits.

    Raises:
        PgcError: something is missing or does not fit, or the volume has vanished.
    """
    check_request(request)
    begun = time.perf_counter()
    checkpoint = RunFolder(folder).checkpoint
    if resume:
        request = as_begun(request, checkpoint)
    kept = SavedVolume(checkpoint, request)
    saved = kept.load() if resume else None
    if not resume:
        # One of an earlier run, which was ended in its texture.
        RunFolder(folder / TEXTURE_FOLDER).checkpoint.unlink(missing_ok=True)
    given = _Given(
        request=request,
        source=prior if isinstance(prior, PriorSource) else PriorSource.of(prior),
        folder=folder,
        hooks=hooks,
        distances=begun_distances(request.settings, hooks.progress),
        kept=kept,
        saved=saved,
        seconds={},
        begun=begun,
    )
    planner = SubjectPlanner(spec=request.prior, subject=volume_needs(request.settings), device=given.source.device)
    least = 0 if saved is None else saved_plan(saved[1])
    before = digest_of(folder / MESH_FILES[0]) if resume else ""
    made = until_it_fits(planner, lambda attempt: _volume(given, attempt), hooks.on_note, least=least)
    finished, files, textured = made.finished, made.files, {}
    if (
        finished
        and made.mesh is not None
        and request.texture is not None
        and not isinstance(request.prior, Zero123Spec)
    ):
        hooks.on_stage("texture")
        told = {**made.report, "state": "running", "files": files, "seconds": given.seconds}
        write_volume_report(folder / REPORT, told)
        run_hooks = RunHooks(on_note=hooks.on_note, on_step=hooks.on_step, should_stop=hooks.should_stop)
        of_volume = VolumeMesh(
            mesh=made.mesh,
            guidance=made.guidance,
            device=given.source.device,
            prior=request.prior,
            prompt=request.prompt,
            is_as_before=before == files[MESH_FILES[0]],
        )
        textured, finished = texture_volume(request.texture, of_volume, folder, run_hooks, resume=resume)
        files = {**files, **textured["files"]}
    given.seconds["total"] = time.perf_counter() - begun
    content = {
        **made.report,
        "state": "failed" if made.lost else "finished" if finished else "interrupted",
        "texture": {name: value for name, value in textured.items() if name != "files"},
        "seconds": {stage: round(share, 3) for stage, share in given.seconds.items()},
        "files": files,
    }
    write_volume_report(folder / REPORT, content)
    if finished:
        checkpoint.unlink(missing_ok=True)
    if made.lost:
        # An earlier run's results are given back by whoever claimed the folder.
        raise MeshError(made.lost)
    EarlierRun(folder).drop()
    return finished


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Given:
    """What all attempts at a volume have in common."""

    request: VolumeRequest
    source: PriorSource
    folder: Path
    hooks: VolumeHooks
    distances: Float[Tensor, "s s s"]
    kept: SavedVolume
    saved: tuple[dict[str, Tensor], dict[str, Any]] | None
    seconds: dict[str, float]
    """By stage, to be added to."""
    begun: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Made:
    """A volume that was learnt."""

    guidance: Guidance | None
    """None: one that was loaded to take less memory, and is of this volume alone."""
    mesh: PreparedMesh | None
    lost: str
    """Why there is no mesh."""
    finished: bool
    files: dict[str, str]
    report: dict[str, Any]


def _volume(given: _Given, attempt: Attempt) -> _Made:
    """One attempt at the volume and its mesh."""
    request, hooks, folder = given.request, given.hooks, given.folder
    guidance = given.source.load(attempt.run.spec)
    run = prepare_volume(
        guidance,
        request.prompt,
        replace(request.settings, optimize=attempt.run.optimize),
        known=request.known,
        reference_view=None if request.picture is None else request.picture.view,
        distances=given.distances,
    )
    attempt.begin(run.loop, given.saved)
    notes = _notes(request, guidance)
    for note in notes if attempt.reached is None else ():
        hooks.on_note(note)
    notes = (*attempt.notes, *notes)
    given.seconds.setdefault("prepare", time.perf_counter() - given.begun)
    report = {**_report(request, guidance, run, notes), "memory_plan": attempt.run.plan}
    write_volume_report(folder / REPORT, {**report, "state": "running", "files": {}})
    hooks.on_stage("volume")
    finished = _learn(run, partial(given.kept.keep, run.loop, attempt.number), hooks, given.seconds)
    given.kept.keep(run.loop, attempt.number)
    hooks.on_stage("mesh")
    mesh, said, lost = _mesh(run, request)
    for note in said:
        hooks.on_note(note)
    files = write_volume(folder, mesh, run.scene.volume)
    after = (*notes, *said, lost) if lost else (*notes, *said)
    report = {**_report(request, guidance, run, after), "memory_plan": attempt.run.plan}
    if mesh is not None:
        report["mesh"] = mesh_facts(mesh)
    if request.picture is not None:
        report["picture"] = given.kept.picture
    own = guidance if attempt.number == 0 else None
    return _Made(guidance=own, mesh=mesh, lost=lost, finished=finished, files=files, report=report)


def _learn(run: PreparedVolume, keep: Callable[[], None], hooks: VolumeHooks, seconds: dict[str, float]) -> bool:
    """Takes the steps that are left; returns whether all were taken."""
    due = time.perf_counter() + _CHECKPOINT_SECONDS
    for result in run.loop.steps():
        for stage, share in result.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + share
        hooks.on_step(result)
        if result.step < result.steps and hooks.should_stop():
            break
        if time.perf_counter() > due:
            keep()
            due = time.perf_counter() + _CHECKPOINT_SECONDS
    return run.loop.step == run.loop.length


def _mesh(run: PreparedVolume, request: VolumeRequest) -> tuple[PreparedMesh | None, tuple[str, ...], str]:
    """The mesh with UVs, and what is said of it; where there is none, why."""
    try:
        surface = volume_surface(run.scene.volume, request.settings.surface)
        return prepare_mesh(surface_mesh(surface, "imagined")), surface.notes, ""
    except MeshError as error:
        # The preview and the report are still worth having.
        return None, (), str(error)


def _report(request: VolumeRequest, guidance: Guidance, run: PreparedVolume, notes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "prompt": request.prompt,
        "guidance": guidance.name,
        "prior": request.prior,
        "device": str(guidance.device),
        "settings": request.settings,
        "seed": request.settings.optimize.seed,
        "steps_done": run.loop.step,
        "unknown_words": guidance.unknown_words(request.prompt.text),
        "warnings": (*notes, *run.loop.finite.notes),
        "regulation": plain(run.loop.regulation_summary()),
    }


def _notes(request: VolumeRequest, guidance: Guidance) -> tuple[str, ...]:
    unknown = guidance.unknown_words(request.prompt.text)
    notes = () if request.picture is None else request.picture.notes
    notes = (*notes, f"The model does not know: {', '.join(unknown)}.") if unknown else notes
    if not isinstance(request.prior, PocketSpec):
        return notes
    start = request.settings.start
    if isinstance(start, NamedStart):
        said = f"The built-in model draws no shapes for words; the volume begins as a {start.shape} of its training."
    elif isinstance(start, BallStart):
        named = "" if named_in(request.prompt.text) else ", and the prompt names none that it was trained on"
        said = f"The built-in model draws no shapes for words{named}; the volume begins as a ball, and stays near it. "
        # A picture's volume has no other start.
        said += "--start names another shape or a mesh." if request.picture is None else "A picture alone moves it."
    else:
        said = "The built-in model draws no shapes for words; the volume begins as your mesh, and stays near it."
    return (*notes, said)
