# SPDX-License-Identifier: Apache-2.0
"""A job for a new shape made ready to run: `pgc.shape` over the mesh that was sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from blender_addon.protocol.meshes import MOST_RESULT_TRIANGLES, MOST_RESULT_VERTICES, PreviewMesh, ResultMesh
from blender_addon.protocol.specs.job import MeshSpec, ShapeSpec, TextureJobSpec
from pgc.errors import MeshError
from pgc.guidance.base import Guidance
from pgc.guidance.specs import GuidanceSpec
from pgc.mesh import Mesh
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.runs.memory.plan import DeviceMemory
from pgc.runs.prompt_warnings import prompt_warnings, reading_warnings
from pgc.shape.prepared import PreparedShape, prepare_shape
from pgc.shape.settings import ShapeSettings, check_hold, geometry_named, shape_settings
from server.recipes.prepare import job_prompt
from server.recipes.settings import named_prior
from server.recipes.sources import ReadArray

__all__ = ["ShapePlanner", "ShapeRun", "prepare_shape_job", "result_of", "shape_choices", "with_wishes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapePlanner:
    """The plans of a shape run: as asked for, and with one view after the other through the encoder."""

    views: int

    def choose(self, memory: DeviceMemory | None, least: int = 0) -> int:
        """Returns the number of the first plan from `least` on: what a shape run needs was not counted."""
        return min(max(least, 0), 1)

    def after(self, number: int, memory: DeviceMemory | None = None) -> int | None:
        """Returns the number of the next plan that needs less memory; None: there is none."""
        return 1 if number == 0 and self.views > 1 else None

    def announce(self, number: int, memory: DeviceMemory | None) -> str | None:
        """Says nothing before the start."""
        return None

    def describe(self, number: int, memory: DeviceMemory | None = None, since: int = 0) -> str:
        """Says what a person is told about the smaller plan."""
        return "Memory ran out: the job goes on with one view after the other."

    def suggestion(self) -> str:
        """Says what to do where the last plan does not fit either."""
        return "Close other programs, or ask for fewer views, a smaller resolution, or a simpler mesh."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShapeRun:
    """A job for a new shape, ready to advance."""

    prior: GuidanceSpec
    prompt: Prompt
    settings: ShapeSettings
    guidance: Guidance
    shape: PreparedShape
    warnings: tuple[str, ...]
    notices: tuple[str, ...]
    unknown_words: tuple[str, ...]
    has_uvs: bool
    """Whether the mesh that was sent had any: made-up ones are nobody's."""

    @property
    def optimization(self) -> DistillationLoop:
        """The loop."""
        return self.shape.loop

    def why_over(self) -> str | None:
        """Says why no further step helps, where that is so."""
        return self.shape.why_over()

    def preview(self) -> PreviewMesh | None:
        """Returns the shape of this moment, in the space of the mesh that was sent; None: there is none to show."""
        mesh = self.shape.result()
        return PreviewMesh(positions=mesh.positions.astype(np.float32), faces=_triangles(mesh))

    def bake(self) -> ResultMesh:
        """Returns the shape of this moment as a result.

        Raises:
            MeshError: it is larger than a result may be.
        """
        return result_of(self.shape.result(), has_uvs=self.has_uvs)


def result_of(mesh: Mesh, *, has_uvs: bool) -> ResultMesh:
    """Returns a mesh of triangles as a result.

    Args:
        has_uvs: whether its UVs are anybody's.

    Raises:
        MeshError: it is larger than a result may be.
    """
    faces = _triangles(mesh)
    if len(mesh.positions) > MOST_RESULT_VERTICES or len(faces) > MOST_RESULT_TRIANGLES:
        raise MeshError(
            f"The shape has {len(faces):,} triangles, and a result has at most {MOST_RESULT_TRIANGLES:,}; "
            "take fewer cubes."
        )
    uvs = colors = None
    if has_uvs and mesh.uvs is not None and mesh.corner_uvs is not None:
        uvs = mesh.uvs[mesh.corner_uvs]
    if mesh.colors is not None and mesh.corner_colors is not None:
        colors = np.ascontiguousarray(mesh.colors[mesh.corner_colors][:, :3]).reshape(-1, 3, 3)
    return ResultMesh(
        positions=mesh.positions.astype(np.float32),
        faces=faces,
        corner_uvs=None if uvs is None else uvs.reshape(-1, 3, 2).astype(np.float32),
        corner_colors=None if colors is None else colors.astype(np.float32),
        material_index=mesh.material_index.astype(np.int32),
    )


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
    guidance_for: Callable[[GuidanceSpec, torch.device], Guidance],
    *,
    plan: int = 0,
    progress: Callable[[str, float], None] = lambda stage, fraction: None,
) -> ShapeRun:
    """Sets a job up; no step is taken yet. Arguments are those of `prepare`.

    Raises:
        ProtocolError: the job asks for what this version cannot do; the error names the field.
        PgcError: the mesh or the prior cannot be used.
    """
    prior, settings = shape_choices(spec)
    prompt = job_prompt(spec)
    progress("Loading the prior", 0.0)
    guidance = guidance_for(prior, device)
    progress("Preparing the mesh", 0.0)
    shape = prepare_shape(_mesh(spec.meshes[0], read), guidance, prompt, settings)
    if plan:
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


def _mesh(given: MeshSpec, read: ReadArray) -> Mesh:
    """The triangles that were sent, each a polygon of its own. UVs are made up where there are none, since it would
    take long to unwrap what a shape run does not look at."""
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


def _triangles(mesh: Mesh) -> np.ndarray:
    return np.ascontiguousarray(mesh.corner_positions.reshape(-1, 3), dtype=np.int32)
