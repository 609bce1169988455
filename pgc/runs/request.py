# SPDX-License-Identifier: Apache-2.0
"""From a request to a running optimisation: mesh, prior, texels, rasteriser and loop put together.

    run = prepare_run(TextureRequest(mesh=Path("chair.obj"), prompt=Prompt(text="red bricks")))
    for result in run.optimization.steps():
        ...
    texture = run.bake()

Nothing here writes files: `pgc.runs.folder` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from blender_addon.uv_measure import WORTH_SAYING, expected_seconds
from pgc.devices import resolve_device, unused_accelerator
from pgc.errors import CheckpointError
from pgc.guidance.base import Guidance
from pgc.guidance.models import require_installed
from pgc.guidance.sources import users_words
from pgc.guidance.specs import load_guidance
from pgc.mesh import PreparedMesh, UvPolicy, load_mesh, prepare_mesh
from pgc.rendering.raster.choice import build_rasterizer, check_rasterizer
from pgc.rendering.raster.rasterizer import Rasterizer
from pgc.runs.checkpoint import load_checkpoint, save_checkpoint
from pgc.runs.memory.plan import MemoryPlanner, cap_memory, device_memory
from pgc.runs.prepared import PreparedRun, start_optimization
from pgc.runs.prior_device import check_prior_fits
from pgc.runs.prompt_warnings import prompt_warnings
from pgc.runs.scene_building import SourceTextures
from pgc.runs.sources.reading import check_headers, read_sources
from pgc.runs.texture_request import TextureRequest

__all__ = [
    "SourceTextures",
    "TextureRequest",
    "TextureRun",
    "check_images",
    "load_prepared",
    "load_sources",
    "planner_for",
    "prepare_run",
    "saved_plan",
    "uv_policy",
]

Progress = Callable[[str, float], None]
"""Gets a stage's name and how much of it is done, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextureRun(PreparedRun):
    """A request that is ready to run: its mesh and its optimisation are set up."""

    request: TextureRequest
    plan_number: int
    """Of the request's plans; 0: as asked for."""

    @property
    def rasterizer(self) -> Rasterizer:
        """Returns the run's rasteriser, whose acceleration structure pictures may share."""
        return self.optimization.scene.rasterizer

    def save(self, path: Path) -> None:
        """Writes a checkpoint from which `resume` continues. Raises CheckpointError where it cannot be written."""
        tensors, header = self.optimization.state_dict()
        save_checkpoint(path, tensors, {**header, "request": self.request.fingerprint(), "plan": self.plan_number})

    def resume(self, path: Path) -> None:
        """Continues where a checkpoint of the same request stopped.

        Raises:
            CheckpointError: the checkpoint is missing, damaged, or of another request.
        """
        self.resume_from(*load_checkpoint(path))

    def resume_from(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Resumes, as `resume` does, from what `load_checkpoint` has read."""
        _check_request(header, self.request)
        self.restore(tensors, header)

    def restore(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Continues from a state of the same request. Texels do not depend on the plan, so that it may be another."""
        self.optimization.load_state_dict(tensors, {**header, "config": self.optimization.config.fingerprint()})


def _check_request(header: Mapping[str, Any], request: TextureRequest) -> None:
    if header.get("request") != request.fingerprint():
        raise CheckpointError(
            "The checkpoint belongs to another mesh, prompt or settings, or one of its files has changed since; "
            "put them back, or start a new run in another folder."
        )


def load_prepared(request: TextureRequest, progress: Progress) -> PreparedMesh:
    """Loads the mesh of a request, ready for a run. Raises MeshError where it is missing, damaged or too big."""
    progress("Reading the mesh", 0.0)
    mesh = load_mesh(request.mesh)
    if request.up_axis is not None:
        mesh = replace(mesh, up_axis=request.up_axis)

    seconds = expected_seconds(mesh.triangle_count)
    long = seconds > WORTH_SAYING
    stage = f"Unwrapping {mesh.triangle_count:,} triangles (about {seconds:.0f} s)" if long else "Unwrapping"

    def unwrapping(fraction: float) -> None:
        """Reports how much of the unwrapping is done."""
        progress(stage, fraction)

    return prepare_mesh(mesh, uvs=uv_policy(request), progress=unwrapping)


def uv_policy(request: TextureRequest) -> UvPolicy:
    """Says which UVs are textured: images lie in the mesh's own, so those are kept unless told otherwise."""
    if request.unwrap:
        return "new"
    return "keep" if request.keep_uvs or request.source_files().paths else "auto"


def check_images(request: TextureRequest) -> None:
    """Looks at the headers of a request's images, before time goes into its mesh.

    Raises:
        TextureError: one is missing, no image, or too big.
    """
    check_headers(request.source_files())


def load_sources(request: TextureRequest, mesh: PreparedMesh) -> SourceTextures:
    """Loads the images that a request names, at the size of its texture. Raises TextureError where one is unusable."""
    return read_sources(request.source_files(), mesh, request.settings.texture.texture_size)


def planner_for(request: TextureRequest, device: torch.device) -> MemoryPlanner:
    """Returns the plans of a request on a device."""
    return MemoryPlanner(spec=request.guidance, settings=request.settings, device=device)


def saved_plan(header: Mapping[str, Any]) -> int:
    """Returns the number of the plan by which a checkpoint's run went on."""
    number = header.get("plan", 0)
    return number if isinstance(number, int) else 0


def prepare_run(
    request: TextureRequest,
    *,
    guidance: Guidance | None = None,
    mesh: PreparedMesh | None = None,
    rasterizer: Rasterizer | None = None,
    progress: Progress | None = None,
    least_plan: int = 0,
) -> TextureRun:
    """Loads all that a request names and sets the run up; no step is taken yet.

    Args:
        request: what to do.
        guidance: the request's prior, where it is loaded already.
        mesh: the request's mesh, where `load_prepared` has loaded it already.
        rasterizer: one of the same mesh, to share its cache.
        progress: is told about slow stages.
        least_plan: number of the first memory plan to look at, as one above it was tried already.

    Raises:
        PgcError: something is missing, damaged or does not fit; the message says what to do.
    """
    tell = progress or (lambda stage, fraction: None)
    device = resolve_device(request.device)
    if guidance is None:
        require_installed(request.guidance)
    check_rasterizer(request.rasterizer, device)
    notes = check_prior_fits(request.guidance, request.device, device, unused_accelerator())
    check_images(request)
    planner, memory = planner_for(request, device), device_memory(device)
    cap_memory(device, memory)
    number = planner.choose(memory, least_plan)
    if number > least_plan:
        notes = (*notes, planner.describe(number, memory, since=least_plan))
    said = planner.announce(number, memory)
    notes = notes if said is None else (*notes, said)
    spec, settings, plan = planner.apply(number)
    mesh = mesh or load_prepared(request, tell)
    sources = load_sources(request, mesh)
    tell("Loading the prior", 0.0)
    prior = guidance or load_guidance(spec, device, words=users_words())
    tell("Preparing the texture", 0.0)
    caster = rasterizer or build_rasterizer(mesh.triangles, device=prior.device, asked=request.rasterizer)
    optimization = start_optimization(mesh, request.prompt, settings, prior, sources=sources, rasterizer=caster)
    if plan.view_by_view:
        optimization.encode_view_by_view()
    return TextureRun(
        request=request,
        prompt=request.prompt,
        settings=settings,
        mesh=mesh,
        guidance=prior,
        optimization=optimization,
        sources=sources,
        warnings=(*notes, *mesh.report.warnings, *sources.notes, *prompt_warnings(prior, request.prompt)),
        unknown_words=prior.unknown_words(request.prompt.text),
        memory_plan=plan,
        plan_number=number,
    )
