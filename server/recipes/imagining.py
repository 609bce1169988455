# SPDX-License-Identifier: Apache-2.0
"""A job for a mesh from a prompt alone: `pgc.volume`, whose surface is the result. And which kind of run a job for a
shape is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from blender_addon.protocol.meshes import PreviewMesh, ResultMesh
from blender_addon.protocol.specs.job import TextureJobSpec
from pgc.errors import MeshError
from pgc.guidance.base import Guidance
from pgc.guidance.specs import GuidanceSpec, PocketSpec
from pgc.optimization.config import Prompt
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.runs.memory.plan import MemoryPlanner
from pgc.runs.prompt_warnings import prompt_warnings, reading_warnings
from pgc.volume.prepared import PreparedVolume, prepare_volume
from pgc.volume.settings import VolumeSettings, volume_settings
from pgc.volume.start import NamedStart
from pgc.volume.surface import SurfaceConfig, surface_mesh, volume_surface
from server.recipes.prepare import job_prompt
from server.recipes.settings import memory_planner, named_prior
from server.recipes.shaping import ShapePlanner, ShapeRun, prepare_shape_job, result_of, shape_choices, with_wishes
from server.recipes.sources import ReadArray

__all__ = ["MeshRun", "VolumeRun", "planner_of", "prepare_mesh_job", "volume_choices"]

_SHOWN = SurfaceConfig(triangles=2000, smoothing=2)
"""Of previews."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeRun:
    """A job for a mesh from a prompt, ready to advance."""

    prior: GuidanceSpec
    prompt: Prompt
    settings: VolumeSettings
    guidance: Guidance
    volume: PreparedVolume
    warnings: tuple[str, ...]
    notices: tuple[str, ...]
    unknown_words: tuple[str, ...]

    @property
    def optimization(self) -> DistillationLoop:
        """The loop."""
        return self.volume.loop

    def why_over(self) -> str | None:
        """Returns None: each step may help."""
        return None

    def preview(self) -> PreviewMesh | None:
        """Returns a coarse surface of this moment; None where there is none yet."""
        try:
            surface = volume_surface(self.volume.scene.volume, _SHOWN)
        except MeshError:
            return None
        return PreviewMesh(
            positions=surface.positions.detach().cpu().numpy().astype(np.float32),
            faces=surface.faces.cpu().numpy().astype(np.int32),
        )

    def bake(self) -> ResultMesh:
        """Returns the surface of this moment as a result.

        Raises:
            MeshError: the volume is empty.
        """
        surface = volume_surface(self.volume.scene.volume, self.settings.surface)
        return result_of(surface_mesh(surface, "imagined"), has_uvs=False)


MeshRun = ShapeRun | VolumeRun
"""A job whose result is a mesh."""


def volume_choices(spec: TextureJobSpec) -> tuple[GuidanceSpec, VolumeSettings]:
    """Returns the prior that a job names, and its settings.

    Raises:
        ProtocolError: the model is none of ours.
        ConfigError: a value is out of range, or does not go with the prior.
    """
    prior = named_prior(spec)
    settings = volume_settings(prior, spec.prompt.text, spec.settings.preset)
    return prior, replace(settings, optimize=with_wishes(settings.optimize, spec))


def planner_of(spec: TextureJobSpec, device: torch.device) -> MemoryPlanner | ShapePlanner:
    """Returns the planner of a job's memory on a device. Raises as `resolved`, `shape_choices`, `volume_choices`."""
    if not spec.reshapes:
        return memory_planner(spec, device)
    settings = volume_choices(spec)[1] if spec.imagines else shape_choices(spec)[1]
    return ShapePlanner(views=settings.optimize.views)


def prepare_mesh_job(
    spec: TextureJobSpec,
    read: ReadArray,
    device: torch.device,
    guidance_for: Callable[[GuidanceSpec, torch.device], Guidance],
    *,
    plan: int = 0,
    progress: Callable[[str, float], None] = lambda stage, fraction: None,
) -> MeshRun:
    """Sets a job for a shape up, from its mesh or from its prompt alone; no step is taken yet. Arguments are those of
    `prepare`.

    Raises:
        ProtocolError: the job asks for what this version cannot do; the error names the field.
        PgcError: the mesh or the prior cannot be used.
    """
    if not spec.imagines:
        return prepare_shape_job(spec, read, device, guidance_for, plan=plan, progress=progress)
    prior, settings = volume_choices(spec)
    prompt = job_prompt(spec)
    progress("Loading the prior", 0.0)
    guidance = guidance_for(prior, device)
    progress("Preparing the volume", 0.0)
    volume = prepare_volume(guidance, prompt, settings)
    if plan:
        volume.loop.encode_view_by_view()
    return VolumeRun(
        prior=prior,
        prompt=prompt,
        settings=settings,
        guidance=guidance,
        volume=volume,
        warnings=(*_begun(prior, settings), *prompt_warnings(guidance, prompt)),
        notices=reading_warnings(guidance, prompt),
        unknown_words=guidance.unknown_words(prompt.text),
    )


def _begun(prior: GuidanceSpec, settings: VolumeSettings) -> tuple[str, ...]:
    if not isinstance(prior, PocketSpec):
        return ()
    shape = settings.start.shape if isinstance(settings.start, NamedStart) else "ball"
    return (f"The built-in model draws no shapes for words; this one began as a {shape} and stays near it.",)
