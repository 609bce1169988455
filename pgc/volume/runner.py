# SPDX-License-Identifier: Apache-2.0
"""Runs a volume request into a folder: from a prompt to a mesh, and to its texture."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pgc.errors import CheckpointError, ConfigError, MeshError
from pgc.guidance.base import Guidance
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.models import require_installed, require_zero123
from pgc.guidance.specs import GuidanceSpec, PocketSpec
from pgc.mesh import PreparedMesh, prepare_mesh
from pgc.optimization.config import Prompt
from pgc.optimization.step_result import StepResult
from pgc.runs.checkpoint import load_checkpoint, save_checkpoint
from pgc.runs.earlier_run import EarlierRun
from pgc.runs.folder import RunFolder
from pgc.runs.recorder import RunHooks
from pgc.runs.report import mesh_facts, plain
from pgc.shape.picture import GivenPicture
from pgc.volume.finish import TextureStage, VolumeMesh, texture_volume
from pgc.volume.outcome import REPORT, TEXTURE_FOLDER, write_volume, write_volume_report
from pgc.volume.prepared import PreparedVolume, prepare_volume
from pgc.volume.settings import VolumeSettings, as_soft
from pgc.volume.start import BallStart, NamedStart, named_in
from pgc.volume.surface import surface_mesh, volume_surface
from pgc.volume.views import KnownShape

__all__ = ["VolumeHooks", "VolumeRequest", "check_request", "imagine"]

_CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRequest:
    """What is asked for."""

    prompt: Prompt
    settings: VolumeSettings
    prior: GuidanceSpec | Zero123Spec
    """What the teacher was loaded from."""
    texture: TextureStage | None = field(default_factory=TextureStage)
    """How the mesh is textured; None: not at all."""
    known: KnownShape | None = None
    """For the oracle alone."""
    picture: GivenPicture | None = None
    """A picture of what is to be made."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeHooks:
    """How the caller follows a run and ends it."""

    on_note: Callable[[str], None] = lambda text: None
    on_stage: Callable[[str], None] = lambda name: None
    """Told "volume", "mesh" and "texture" as each begins."""
    on_step: Callable[[StepResult], None] = lambda result: None
    """After each step of the volume, and then of the texture."""
    should_stop: Callable[[], bool] = lambda: False
    """Asked after every step; True ends the run, and what is there is written."""


def check_request(request: VolumeRequest) -> None:
    """Raises ConfigError where a request cannot be served; loads nothing."""
    if isinstance(request.prior, Zero123Spec):
        if request.picture is None or request.texture is not None:
            raise ConfigError("Zero123 needs a picture of the object, and paints no texture; take pgc image.")
        require_zero123(request.prior.source)
        return
    if not request.prompt.text.strip():
        raise ConfigError("The prompt is empty; say what is to be made, such as 'a red vase'.")
    require_installed(request.prior)
    if request.texture is not None:
        request.texture.settings(request.prior)


def imagine(
    request: VolumeRequest, guidance: Guidance, folder: Path, hooks: VolumeHooks, *, resume: bool = False
) -> bool:
    """Learns a volume from a prompt, makes a mesh of it and textures that; returns whether all steps were taken.

    The folder must be claimed, or hold the run that is to be resumed. It gets volume.glb, volume.obj, preview.png,
    run.json, the folder "texture" of a texture run, and imagined.glb, its textured mesh. A run that is stopped has
    what there is of these, and checkpoint.safetensors to go on from.

    Raises:
        PgcError: something is missing or does not fit, or the volume has vanished.
    """
    check_request(request)
    begun = time.perf_counter()
    if resume:
        request = _as_begun(request, RunFolder(folder).checkpoint)
    view = None if request.picture is None else request.picture.view
    run = prepare_volume(guidance, request.prompt, request.settings, known=request.known, reference_view=view)
    saved = _Saved(RunFolder(folder).checkpoint, request)
    if resume:
        saved.restore(run)
    else:
        # One of an earlier run, which was ended in its texture.
        RunFolder(folder / TEXTURE_FOLDER).checkpoint.unlink(missing_ok=True)
    notes = _notes(request, guidance)
    for note in notes:
        hooks.on_note(note)
    seconds = {"prepare": time.perf_counter() - begun}
    write_volume_report(folder / REPORT, {**_report(request, guidance, run, notes), "state": "running", "files": {}})
    hooks.on_stage("volume")
    finished = _learn(run, saved, hooks, seconds)
    saved.save(run)
    hooks.on_stage("mesh")
    mesh, lost = _mesh(run, request)
    files = write_volume(folder, mesh, run.scene.volume)
    report = _report(request, guidance, run, (*notes, *lost))
    if mesh is not None:
        report["mesh"] = mesh_facts(mesh)
    if request.picture is not None:
        report["picture"] = saved.picture
    textured: Mapping[str, Any] = {}
    if finished and mesh is not None and request.texture is not None and not isinstance(request.prior, Zero123Spec):
        hooks.on_stage("texture")
        write_volume_report(folder / REPORT, {**report, "state": "running", "files": files, "seconds": seconds})
        run_hooks = RunHooks(on_note=hooks.on_note, on_step=hooks.on_step, should_stop=hooks.should_stop)
        made = VolumeMesh(mesh=mesh, guidance=guidance, prior=request.prior, prompt=request.prompt)
        textured, finished = texture_volume(request.texture, made, folder, run_hooks, resume=resume)
        files = {**files, **textured["files"]}
    seconds["total"] = time.perf_counter() - begun
    content = {
        **report,
        "state": "failed" if lost else "finished" if finished else "interrupted",
        "texture": {name: value for name, value in textured.items() if name != "files"},
        "seconds": {stage: round(share, 3) for stage, share in seconds.items()},
        "files": files,
    }
    write_volume_report(folder / REPORT, content)
    if finished:
        saved.path.unlink(missing_ok=True)
    if lost:
        # An earlier run's results are given back by whoever claimed the folder.
        raise MeshError(lost[0])
    EarlierRun(folder).drop()
    return finished


def _as_begun(request: VolumeRequest, checkpoint: Path) -> VolumeRequest:
    """The request as a run of an earlier version began it, where the checkpoint is of one: shapes that are to stay were
    as soft then as a ball. Where it stood is in the checkpoint itself."""
    soft = replace(request, settings=as_soft(request.settings, request.prior))
    if soft == request:
        return request
    is_of_then = load_checkpoint(checkpoint)[1].get("request") == _Saved(checkpoint, soft).mark
    return soft if is_of_then else request


class _Saved:
    """The checkpoint of a volume, which is a run's as long as all settings are the same."""

    def __init__(self, path: Path, request: VolumeRequest) -> None:
        self.path = path
        told = {"settings": plain(request.settings), "prompt": plain(request.prompt), "prior": plain(request.prior)}
        # Read once: the file may be moved meanwhile.
        self.picture = None if request.picture is None else request.picture.facts()
        if self.picture is not None:
            told["picture"] = plain(self.picture)
        self.mark = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def save(self, run: PreparedVolume) -> None:
        """Writes the state."""
        tensors, header = run.loop.state_dict()
        save_checkpoint(self.path, tensors, {**header, "request": self.mark})

    def restore(self, run: PreparedVolume) -> None:
        """Goes on from it."""
        tensors, header = load_checkpoint(self.path)
        if header.get("request") != self.mark:
            raise CheckpointError(
                "The volume here was begun with another prompt, model or other settings; give those of its run.json, "
                "or another --out."
            )
        run.loop.load_state_dict(tensors, header)


def _learn(run: PreparedVolume, saved: _Saved, hooks: VolumeHooks, seconds: dict[str, float]) -> bool:
    """Takes the steps that are left; returns whether all were taken."""
    due = time.perf_counter() + _CHECKPOINT_SECONDS
    for result in run.loop.steps():
        for stage, share in result.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + share
        hooks.on_step(result)
        if result.step < result.steps and hooks.should_stop():
            break
        if time.perf_counter() > due:
            saved.save(run)
            due = time.perf_counter() + _CHECKPOINT_SECONDS
    return run.loop.step == run.loop.length


def _mesh(run: PreparedVolume, request: VolumeRequest) -> tuple[PreparedMesh | None, tuple[str, ...]]:
    """The mesh with UVs; where there is none, why."""
    try:
        surface = volume_surface(run.scene.volume, request.settings.surface)
        return prepare_mesh(surface_mesh(surface, "imagined")), ()
    except MeshError as error:
        # The preview and the report are still worth having.
        return None, (str(error),)


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
        said += "--start names another shape or a mesh."
    else:
        said = "The built-in model draws no shapes for words; the volume begins as your mesh, and stays near it."
    return (*notes, said)
