# SPDX-License-Identifier: Apache-2.0
"""A job for a new shape made ready to run: `pgc.shape` over the mesh that was sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from blender_addon.protocol.specs.job import MeshSpec, ShapeSpec, TextureJobSpec
from pgc.guidance.specs import GuidanceSpec
from pgc.mesh import Mesh
from pgc.optimization.config import OptimizeConfig
from pgc.runs.prompt_warnings import prompt_warnings, reading_warnings
from pgc.shape.prepared import PreparedShape, prepare_shape
from pgc.shape.settings import ShapeSettings, check_hold, geometry_named, shape_settings
from server.recipes.mesh_plans import as_planned
from server.recipes.mesh_runs import ShapeRun
from server.recipes.prepare import job_prompt
from server.recipes.settings import Load, named_prior
from server.recipes.sources import ReadArray

__all__ = ["prepare_shape_job", "sent_mesh", "shape_choices", "with_wishes"]


def shape_choices(spec: TextureJobSpec) -> tuple[GuidanceSpec, ShapeSettings]:
    """Returns the prior that a job names, and its settings.

    Raises:
        ProtocolError: the model is none of ours.
        ConfigError: a value is out of range, or does not go with the prior.
    """
    wish, prior = spec.shape or ShapeSpec(), named_prior(spec)
    geometry = geometry_named(wish.geometry, cubes=wish.cubes)
    settings = shape_settings(wish.loss, geometry, prior, spec.settings.preset)
    if wish.hold:
        check_hold(prior)
    return prior, replace(
        settings,
        optimize=with_wishes(settings.optimize, spec),
        subdivide=wish.subdivide,
        hold=wish.hold,
        pictures=replace(settings.pictures, latents_until=wish.latents_until),
    )


def with_wishes(optimize: OptimizeConfig, spec: TextureJobSpec) -> OptimizeConfig:
    """Returns the loop's settings with those that a job for a shape names. Raises ConfigError for a bad one."""
    given = spec.settings
    wished = {
        "steps": given.steps,
        "views": given.views,
        "resolution": given.resolution,
        "seed": given.seed,
        "learning_rate": None if spec.shape is None else spec.shape.learning_rate,
    }
    return replace(optimize, **{name: value for name, value in wished.items() if value is not None})


def prepare_shape_job(
    spec: TextureJobSpec,
    read: ReadArray,
    device: torch.device,
    guidance_for: Load,
    *,
    plan: int = 0,
    progress: Callable[[str, float], None] = lambda stage, fraction: None,
) -> ShapeRun:
    """Sets a job up; no step is taken yet. Arguments are those of `prepare`.

    Raises:
        ProtocolError: the job asks for what this version cannot do; the error names the field.
        PgcError: the mesh or the prior cannot be used.
    """
    prior, settings, memory_plan = as_planned(*shape_choices(spec), device, plan)
    prompt = job_prompt(spec)
    progress("Loading the prior", 0.0)
    guidance = guidance_for(prior, device)
    progress("Preparing the mesh", 0.0)
    shape = prepare_shape(sent_mesh(spec.meshes[0], read), guidance, prompt, settings)
    if memory_plan.view_by_view:
        shape.loop.encode_view_by_view()
    return ShapeRun(
        prior=prior,
        prompt=prompt,
        settings=settings,
        guidance=guidance,
        shape=shape,
        warnings=(*_few(shape), *prompt_warnings(guidance, prompt)),
        notices=reading_warnings(guidance, prompt),
        unknown_words=guidance.unknown_words(prompt.text),
        has_uvs=spec.meshes[0].corner_uvs is not None,
    )


def _few(shape: PreparedShape) -> tuple[str, ...]:
    times = shape.wished_subdivisions()
    count = len(shape.blockout.triangles.faces)
    often = "once" if times == 1 else f"{times} times"
    return (f"The mesh has {count:,} triangles, which hold little detail; subdivide it {often}.",) * bool(times)


def sent_mesh(given: MeshSpec, read: ReadArray) -> Mesh:
    """Returns the triangles that were sent, each a polygon of its own. UVs are made up where there are none, since it
    would take long to unwrap what a shape run does not look at."""
    positions, corners = read(given.positions), read(given.faces).reshape(-1).astype(np.int32)
    # UVs by corner, never in the order of the positions: that would say that a format repeats these.
    order = np.arange(len(corners), dtype=np.int32)[::-1].copy()
    uvs = positions[corners][:, :2] if given.corner_uvs is None else read(given.corner_uvs).reshape(-1, 2)
    count = len(corners) // 3
    slots = np.zeros(count, np.int32) if given.material_index is None else read(given.material_index).astype(np.int32)
    return Mesh(
        name=given.name,
        positions=positions.astype(np.float64),
        polygon_sizes=np.full(count, 3, dtype=np.int32),
        corner_positions=corners,
        uvs=uvs[order].astype(np.float32),
        corner_uvs=order,
        normals=None,
        corner_normals=None,
        material_index=slots,
        material_names=tuple(f"material {index}" for index in range(int(slots.max(initial=0)) + 1)),
        up_axis="z",
    )
