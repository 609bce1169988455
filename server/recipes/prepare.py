# SPDX-License-Identifier: Apache-2.0
"""A job made ready to run.

    run = prepare(spec, read, device, guidance_for)
    for result in run.optimization.steps():
        ...
    texture = run.bake()

The same mesh, prompt, settings and seed give, on the CPU, the same bits as `pgc texture` in one process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch

from blender_addon.protocol.errors import invalid
from blender_addon.protocol.records import MAX_MAP_FILES
from blender_addon.protocol.specs.job import (
    CameraRigSpec,
    CameraSpec,
    MeshSpec,
    TextureJobSpec,
)
from pgc.cameras import Camera
from pgc.cameras.sampling import CameraSampler
from pgc.cameras.view_names import FrontAxis
from pgc.guidance.base import Guidance
from pgc.guidance.specs import GuidanceSpec
from pgc.mesh import Normalization
from pgc.optimization.config import Prompt
from pgc.rendering.raster.choice import RasterizerName, build_rasterizer
from pgc.runs.prepared import PreparedRun, start_optimization
from pgc.runs.prompt_warnings import prompt_warnings, reading_warnings
from server.recipes.cameras import FixedViews, normalized_camera
from server.recipes.meshes import MeshArrays, assemble, keep_untextured
from server.recipes.settings import memory_planner
from server.recipes.sources import ReadArray, source_textures
from server.supported import check_supported

__all__ = ["JobRun", "job_prompt", "prepare"]

_FRONT_AXES: dict[str, FrontAxis] = {"-y": "-y", "-x": "-x", "y": "+y", "x": "+x", "+y": "+y", "+x": "+x"}
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JobRun(PreparedRun):
    """A job made ready to run."""

    prior: GuidanceSpec
    notices: tuple[str, ...]
    """Those of the warnings that should be heard before the result: how the prompt is read."""


def prepare(
    spec: TextureJobSpec,
    read: ReadArray,
    device: torch.device,
    guidance_for: Callable[[GuidanceSpec, torch.device], Guidance],
    *,
    plan: int = 0,
    rasterizer: RasterizerName = "auto",
    progress: Progress | None = None,
) -> JobRun:
    """Sets a job up; no step is taken yet.

    Args:
        spec: what the artist wants.
        read: the array behind a reference, of the reference's type and shape.
        guidance_for: loads a prior, or has it already.
        plan: number of the memory plan (`pgc.runs.memory.plan`); 0: as asked for.
        rasterizer: what draws the views.
        progress: is told about slow stages, name and fraction.

    Raises:
        ProtocolError: the job asks for what this version cannot do; the error names the field.
        PgcError: the mesh, the textures or the prior cannot be used.
    """
    tell = progress or _tell_nobody
    check_supported(spec)
    prior, settings, memory_plan = memory_planner(spec, device).apply(plan)
    prompt = job_prompt(spec)
    tell("Preparing the mesh", 0.0)
    meshes = [_mesh_arrays(mesh, read, f"meshes[{index}]") for index, mesh in enumerate(spec.meshes)]
    mesh = assemble(meshes)
    _check_files(len(settings.maps), mesh.report.tiles)
    sources = source_textures(spec, read, mesh, settings.texture.texture_size)
    sources = keep_untextured(sources, meshes, mesh, settings.texture)
    tell("Loading the prior", 0.0)
    guidance = guidance_for(prior, device)
    tell("Preparing the texture", 0.0)
    caster = build_rasterizer(mesh.triangles, device=guidance.device, asked=rasterizer)
    views = _cameras(spec, mesh.normalization)
    optimization = start_optimization(
        mesh, prompt, settings, guidance, sources=sources, rasterizer=caster, cameras=views
    )
    if memory_plan.view_by_view:
        optimization.encode_view_by_view()
    return JobRun(
        prior=prior,
        prompt=prompt,
        settings=settings,
        mesh=mesh,
        guidance=guidance,
        optimization=optimization,
        sources=sources,
        warnings=(*mesh.report.warnings, *prompt_warnings(guidance, prompt)),
        notices=reading_warnings(guidance, prompt),
        unknown_words=guidance.unknown_words(prompt.text),
        memory_plan=memory_plan,
    )


def _tell_nobody(stage: str, fraction: float) -> None:
    """A progress that nobody follows."""


def job_prompt(spec: TextureJobSpec) -> Prompt:
    """Returns the texts of a job as the library names them."""
    given = spec.prompt
    return Prompt(
        text=given.text,
        negative=given.negative,
        view_dependent=given.view_dependent,
        front_axis=_FRONT_AXES[given.front_axis],
        per_view=cast("Any", dict(given.per_view)),
    )


def _mesh_arrays(mesh: MeshSpec, read: ReadArray, path: str) -> MeshArrays:
    if mesh.corner_uvs is None:
        raise invalid(f"{path}.corner_uvs", "The mesh has no UVs; unwrap it first (Blender: U > Smart UV Project).")
    return MeshArrays(
        name=mesh.name,
        positions=read(mesh.positions),
        faces=read(mesh.faces),
        corner_uvs=read(mesh.corner_uvs),
        corner_normals=None if mesh.corner_normals is None else read(mesh.corner_normals),
        corner_tangents=None if mesh.corner_tangents is None else read(mesh.corner_tangents),
        material_index=None if mesh.material_index is None else read(mesh.material_index),
        textured=None if mesh.textured is None else read(mesh.textured) != 0,
        corner_colors=None if mesh.corner_colors is None else read(mesh.corner_colors),
    )


def _cameras(spec: TextureJobSpec, normalization: Normalization) -> CameraSampler | None:
    """None: what the preset samples."""
    cameras = spec.cameras
    if isinstance(cameras, CameraRigSpec):
        return FixedViews(tuple(normalized_camera(_camera(camera), normalization) for camera in cameras.cameras))
    # Random ones are among the settings.
    return None


def _camera(camera: CameraSpec) -> Camera:
    matrices = [np.array(values, np.float32).reshape(4, 4) for values in (camera.world_to_camera, camera.projection)]
    return Camera(matrices[0], matrices[1], camera.aspect)


def _check_files(maps: int, tiles: tuple[int, ...]) -> None:
    """Before hours of work, not after: a result that would not fit into a message."""
    files = maps * len(tiles)
    if files > MAX_MAP_FILES:
        raise invalid(
            "meshes",
            f"The UVs lie in {len(tiles)} UDIM tiles, which makes {files} image files; a job has at most "
            f"{MAX_MAP_FILES}. Texture some tiles at a time, or move the charts closer together.",
        )
