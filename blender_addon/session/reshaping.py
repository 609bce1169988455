# SPDX-License-Identifier: GPL-3.0-or-later
"""New shapes from the server: what is sent of a mesh, and what comes of the answer."""

from __future__ import annotations

import math
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy.typing as npt

from ..client import (
    FieldError,
    ModelSpec,
    PictureSpec,
    PromptSpec,
    ProtocolError,
    SettingsSpec,
    ShapeSpec,
    TextureJobSpec,
)
from ..model.conditions.shapes import FROM_PROMPT, NOWHERE, ShapeTask, shape_wish
from ..model.recent_results import NEW_SHAPE_OF
from ..model.state import JobRequest, JobView
from ..protocol.arrays import array_ref, give_away
from ..protocol.meshes import read_result
from ..protocol.specs.job import NEW_SHAPE, PICTURE_MODEL, MeshSpec
from ..scene.errors import SceneError
from ..scene.model_files import model_spec
from ..scene.pictures.picture_files import picture_file
from ..scene.shapes.refined import put_imagined, put_refined
from ..scene.shapes.source import ShapeSource, read_source
from .submission import Order

__all__ = ["prepare_imagined", "prepare_pictured", "prepare_shape", "put_shape", "shape_hindrance"]

_LONGEST_NAME = 40
_SEES = ModelSpec(model=PICTURE_MODEL)


def prepare_shape(context: bpy.types.Context, obj: bpy.types.Object) -> Order:
    """Prepares the job for a new shape of an object, by the panel's prompt, model and seed. Changes nothing.

    Raises:
        SceneError: it shows no shape, or the choices do not go together.
    """
    settings, wish = context.scene.pgc, context.scene.pgc.shape
    source = _source(context, obj)
    files = dict[str, npt.NDArray[Any]]()
    mesh = _mesh_spec(obj.name, source, files)
    try:
        spec = TextureJobSpec(
            meshes=(mesh,),
            prompt=PromptSpec(text=settings.prompt, negative=settings.negative),
            settings=SettingsSpec(preset=settings.preset, seed=settings.seed, steps=wish.steps or None),
            guidance=model_spec(settings, files),
            maps=(NEW_SHAPE,),
            shape=shape_wish(
                loss=wish.loss,
                geometry=wish.geometry,
                subdivide=wish.subdivide,
                cubes=wish.cubes,
                strength=round(wish.strength, 4),
                hold=wish.hold,
            ),
            name=NEW_SHAPE_OF.format(name=obj.name),
        )
    except FieldError as error:
        # What no job may say: nothing is sent.
        raise SceneError(error.text) from error
    request = JobRequest(
        prompt=settings.prompt,
        negative=settings.negative,
        seed=settings.seed,
        model=settings.model,
        preset=settings.preset,
        shape=source.task.written(),
    )
    view = JobView(uuid.uuid4().hex, request, obj.name, obj.session_uid)
    return Order(view, spec, files)


def prepare_imagined(context: bpy.types.Context) -> Order:
    """Prepares the job for a new object from the panel's prompt, model and seed. Changes nothing.

    Raises:
        SceneError: the choices do not go together.
    """
    settings, steps = context.scene.pgc, context.scene.pgc.shape.steps
    files = dict[str, npt.NDArray[Any]]()
    try:
        spec = TextureJobSpec(
            meshes=(),
            prompt=PromptSpec(text=settings.prompt, negative=settings.negative),
            settings=SettingsSpec(preset=settings.preset, seed=settings.seed, steps=steps or None),
            guidance=model_spec(settings, files),
            maps=(NEW_SHAPE,),
            shape=ShapeSpec(geometry="volume"),
            name=NEW_SHAPE_OF.format(name=settings.prompt[:_LONGEST_NAME]),
        )
    except FieldError as error:
        raise SceneError(error.text) from error
    request = JobRequest(
        prompt=settings.prompt,
        negative=settings.negative,
        seed=settings.seed,
        model=settings.model,
        preset=settings.preset,
        shape=ShapeTask.of_nothing().written(),
    )
    return Order(JobView(uuid.uuid4().hex, request, FROM_PROMPT, NOWHERE), spec, files)


def prepare_pictured(context: bpy.types.Context) -> Order:
    """Prepares the job for a new object from the picture that was chosen. Changes nothing.

    Raises:
        SceneError: the picture cannot travel, or the choices do not go together.
    """
    settings, wish = context.scene.pgc, context.scene.pgc.shape
    picture, reads = picture_file(wish.picture), wish.viewer == "prompt"
    arrays = dict[str, npt.NDArray[Any]]()
    task, meshes, name, uid = ShapeTask.of_nothing(picture.name), (), FROM_PROMPT, NOWHERE
    if wish.start == "offsets":
        obj = context.object
        source = _source(context, obj)
        meshes = (_mesh_spec(obj.name, source, arrays),)
        task, name, uid = replace(source.task, picture=picture.name), obj.name, obj.session_uid
    file = array_ref(give_away(picture.data))
    arrays[file.sha256] = picture.data
    try:
        shown = PictureSpec(
            file=file,
            width=picture.header.width,
            height=picture.header.height,
            elevation=round(math.degrees(wish.elevation), 3),
            name=picture.name,
        )
        spec = TextureJobSpec(
            meshes=meshes,
            prompt=PromptSpec(text=settings.prompt, negative=settings.negative) if reads else PromptSpec(text=""),
            settings=SettingsSpec(preset=settings.preset, seed=settings.seed, steps=wish.steps or None),
            guidance=model_spec(settings, arrays) if reads else _SEES,
            maps=(NEW_SHAPE,),
            shape=ShapeSpec(geometry=wish.start, picture=shown),
            name=NEW_SHAPE_OF.format(name=Path(picture.name).stem[:_LONGEST_NAME]),
        )
    except FieldError as error:
        raise SceneError(error.text) from error
    request = JobRequest(
        prompt=spec.prompt.text,
        negative=spec.prompt.negative,
        seed=settings.seed,
        model=spec.guidance.model,
        preset=settings.preset,
        shape=task.written(),
    )
    return Order(JobView(uuid.uuid4().hex, request, name, uid), spec, arrays)


def _source(context: bpy.types.Context, obj: bpy.types.Object) -> ShapeSource:
    if obj.mode == "EDIT":
        # What was edited so far counts, without leaving the mode.
        obj.update_from_editmode()
    return read_source(obj, context.evaluated_depsgraph_get())


def _mesh_spec(name: str, source: ShapeSource, arrays: dict[str, npt.NDArray[Any]]) -> MeshSpec:
    """The mesh as the job names it; its arrays are added."""
    given = {
        "positions": source.positions,
        "faces": source.faces,
        "corner_uvs": source.corner_uvs,
        "material_index": source.material_index,
    }
    refs = {part: array_ref(give_away(array)) for part, array in given.items() if array is not None}
    arrays.update({refs[part].sha256: given[part] for part in refs})
    return MeshSpec(name=name, **refs)


def shape_hindrance(view: JobView, obj: bpy.types.Object | None) -> str:
    """Says why a new shape cannot become an object now, as a sentence; "" where it can."""
    task = ShapeTask.read(view.request.shape)
    if obj is None and not (task is not None and task.imagined):
        return f"{view.object_name} is gone. Undo its removal, then its new shape comes beside it."
    if bpy.context.mode != "OBJECT":
        return f"The new shape of {view.object_name} is ready. Go to Object Mode to get it."
    return ""


def put_shape(view: JobView, obj: bpy.types.Object | None) -> str:
    """Makes a new object of what came, beside the one that it came from, or at the 3D cursor where it came from none;
    returns a sentence for the artist.

    Raises:
        SceneError: what came is no mesh.
    """
    task = ShapeTask.read(view.request.shape)
    try:
        result = read_result(view.files)
    except ProtocolError as error:
        raise SceneError(f"The server sent a shape that is damaged ({error.error.text}); refine it again.") from error
    if task is not None and task.imagined:
        shown = view.request.prompt or Path(task.picture).stem or view.object_name
        made = put_imagined(result, shown[:_LONGEST_NAME])
        note = f"{made.name} stands at the 3D cursor."
        return f"{note} {view.note}" if view.note else note
    if task is None or obj is None:
        raise SceneError(f"It is no longer known how {view.object_name} was sent; refine its shape again.")
    made = put_refined(obj, result, task, bpy.context.evaluated_depsgraph_get())
    note = f"{made.name} stands beside {obj.name}, which is as it was."
    return f"{note} {view.note}" if view.note else note
