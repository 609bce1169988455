# SPDX-License-Identifier: Apache-2.0
"""Which kind of run a job for a shape is: from its mesh, from its picture, or from its prompt alone."""

from __future__ import annotations

import torch

from blender_addon.protocol.specs.job import TextureJobSpec
from pgc.runs.memory.plan import RunPlanner
from server.recipes.imagining import prepare_volume_job, volume_choices
from server.recipes.mesh_plans import mesh_planner
from server.recipes.mesh_runs import MeshRun
from server.recipes.picturing import JobArrays, picture_choices, prepare_picture_job
from server.recipes.prepare import Progress
from server.recipes.settings import Load, memory_planner
from server.recipes.shaping import prepare_shape_job, shape_choices

__all__ = ["planner_of", "prepare_mesh_job"]


def planner_of(spec: TextureJobSpec, device: torch.device) -> RunPlanner:
    """Returns the planner of a job's memory on a device. Raises as `resolved`, or as the choices of its kind."""
    if not spec.reshapes:
        return memory_planner(spec, device)
    if _has_picture(spec):
        prior, settings = picture_choices(spec)
    else:
        prior, settings = volume_choices(spec) if spec.imagines else shape_choices(spec)
    return mesh_planner(prior, settings, device)


def prepare_mesh_job(
    spec: TextureJobSpec,
    arrays: JobArrays,
    device: torch.device,
    guidance_for: Load,
    *,
    plan: int = 0,
    progress: Progress = lambda stage, fraction: None,
) -> MeshRun:
    """Sets a job for a shape up; no step is taken yet. Arguments are those of `prepare`.

    Raises:
        ProtocolError: the job asks for what this version cannot do; the error names the field.
        PgcError: the picture, the mesh or the prior cannot be used.
    """
    if _has_picture(spec):
        return prepare_picture_job(spec, arrays, device, guidance_for, plan=plan, progress=progress)
    if spec.imagines:
        return prepare_volume_job(spec, device, guidance_for, plan=plan, progress=progress)
    return prepare_shape_job(spec, arrays.read, device, guidance_for, plan=plan, progress=progress)


def _has_picture(spec: TextureJobSpec) -> bool:
    return spec.shape is not None and spec.shape.picture is not None
