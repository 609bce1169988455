# SPDX-License-Identifier: Apache-2.0
"""A job for a mesh from a picture of the object: what `pgc image` does, by the same reader and the same settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from blender_addon.protocol.errors import invalid
from blender_addon.protocol.specs.job import PICTURE_MODEL, PictureSpec, ShapeSpec, TextureJobSpec
from pgc.errors import TextureError
from pgc.guidance.base import Guidance
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.images.reading import image_size
from pgc.optimization.config import OptimizeConfig
from pgc.runs.prompt_warnings import prompt_warnings, reading_warnings
from pgc.runs.settings.presets import STEP_SCALE
from pgc.shape.picture import (
    DEFAULT_GEOMETRY,
    GivenPicture,
    PictureOfObject,
    given_picture,
    picture_settings,
    turned,
)
from pgc.shape.prepared import prepare_shape
from pgc.shape.settings import GeometryConfig, ShapeSettings, geometry_named
from pgc.volume.picture import picture_volume_settings
from pgc.volume.prepared import prepare_volume
from pgc.volume.settings import VolumeSettings
from server.recipes.mesh_plans import as_planned
from server.recipes.mesh_runs import ShapeRun, VolumeRun
from server.recipes.prepare import Progress, job_prompt
from server.recipes.settings import Load, PriorSpec, named_prior
from server.recipes.shaping import sent_mesh, with_wishes
from server.recipes.sources import FileOf, ReadArray

__all__ = ["JobArrays", "picture_choices", "prepare_picture_job"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobArrays:
    """The arrays of a job.

    Args:
        read: the array behind a reference, of the reference's type and shape.
        file_of: the file that holds the bytes of an array and nothing else.
    """

    read: ReadArray
    file_of: FileOf


def picture_choices(spec: TextureJobSpec) -> tuple[PriorSpec, ShapeSettings | VolumeSettings]:
    """Returns the prior that a job with a picture names, and its settings.

    Raises:
        ProtocolError: the model is none of ours.
        ConfigError: a value is out of range, or does not go with the prior.
    """
    wish = spec.shape or ShapeSpec()
    prior = Zero123Spec() if spec.guidance.model == PICTURE_MODEL else named_prior(spec)
    if wish.imagines:
        volume = picture_volume_settings(prior, spec.prompt.text)
        return prior, replace(volume, optimize=_scaled(volume.optimize, spec))
    settings = picture_settings(_geometry(wish), prior)
    return prior, replace(settings, optimize=_scaled(settings.optimize, spec), subdivide=wish.subdivide)


def prepare_picture_job(
    spec: TextureJobSpec,
    arrays: JobArrays,
    device: torch.device,
    guidance_for: Load,
    *,
    plan: int,
    progress: Progress,
) -> ShapeRun | VolumeRun:
    """Sets a job with a picture up; no step is taken yet. Arguments are those of `prepare`.

    Raises:
        ProtocolError: no object is to be seen in the picture, or the job asks for what this version cannot do.
        PgcError: the mesh or the prior cannot be used.
    """
    assert spec.shape is not None
    assert spec.shape.picture is not None
    prior, settings, memory_plan = as_planned(*picture_choices(spec), device, plan)
    progress("Reading the picture", 0.0)
    picture = _read(spec.shape.picture, arrays.file_of, settings.optimize.resolution)
    progress("Loading the prior", 0.0)
    guidance = guidance_for(prior, device)
    progress("Preparing the shape", 0.0)
    run = _run(spec, (prior, guidance), settings, picture, arrays.read)
    if memory_plan.view_by_view:
        run.optimization.encode_view_by_view()
    return run


def _run(
    spec: TextureJobSpec,
    teacher: tuple[PriorSpec, Guidance],
    settings: ShapeSettings | VolumeSettings,
    picture: GivenPicture,
    read: ReadArray,
) -> ShapeRun | VolumeRun:
    prompt, (prior, guidance) = job_prompt(spec), teacher
    warnings = (*picture.notes, *prompt_warnings(guidance, prompt))
    notices, unknown = reading_warnings(guidance, prompt), guidance.unknown_words(prompt.text)
    if isinstance(settings, VolumeSettings):
        volume = prepare_volume(guidance, prompt, settings, reference_view=picture.view)
        return VolumeRun(
            prior=prior, prompt=prompt, settings=settings, guidance=guidance, volume=volume,
            warnings=warnings, notices=notices, unknown_words=unknown,
        )  # fmt: skip
    mesh = sent_mesh(spec.meshes[0], read) if spec.meshes else turned(picture.view)
    shape = prepare_shape(mesh, guidance, prompt, settings, reference_view=picture.view)
    return ShapeRun(
        prior=prior, prompt=prompt, settings=settings, guidance=guidance, shape=shape,
        warnings=warnings, notices=notices, unknown_words=unknown,
        has_uvs=bool(spec.meshes) and spec.meshes[0].corner_uvs is not None,
    )  # fmt: skip


def _geometry(wish: ShapeSpec) -> GeometryConfig:
    if wish.geometry == "dmtet":
        return DEFAULT_GEOMETRY if wish.cubes is None else replace(DEFAULT_GEOMETRY, cubes=wish.cubes)
    return geometry_named(wish.geometry, cubes=None)


def _scaled(optimize: OptimizeConfig, spec: TextureJobSpec) -> OptimizeConfig:
    """The steps of the preset, then what the job names."""
    steps = max(1, round(optimize.steps * STEP_SCALE[spec.settings.preset]))
    return with_wishes(replace(optimize, steps=steps), spec)


def _read(given: PictureSpec, file_of: FileOf, side: int) -> GivenPicture:
    """The picture by the reader of `pgc image`; it is told of by the name that it has on the artist's machine. What the
    gate has allowed is the size that the job says: a file that the reader finds another in is not decoded."""
    path: Path = file_of(given.file)
    name = given.name or "The picture"
    try:
        width, height = image_size(path)
        if (width, height) != (given.width, given.height):
            said = f"{given.width} x {given.height}"
            raise TextureError(f"{name} has {width} x {height} pixels; the job says {said}. Save it again.")
        found = given_picture(path, PictureOfObject(elevation_deg=given.elevation), side)
    except TextureError as error:
        text = str(error).replace(str(path), name).replace(path.name, name)
        raise invalid("shape.picture.file", text) from error
    return replace(found, notes=tuple(note.replace(path.name, name) for note in found.notes))
