# SPDX-License-Identifier: GPL-3.0-or-later
"""New shapes from the server: what is sent of a mesh, and what comes of the answer."""

from __future__ import annotations

import uuid
from typing import Any

import bpy
import numpy.typing as npt

from ..client import FieldError, ModelSpec, PromptSpec, ProtocolError, SettingsSpec, ShapeSpec, TextureJobSpec
from ..model.conditions.shapes import FROM_PROMPT, NOWHERE, ShapeTask, shape_wish
from ..model.recent_results import NEW_SHAPE_OF
from ..model.state import JobRequest, JobView
from ..protocol.arrays import array_ref, give_away
from ..protocol.meshes import read_result
from ..protocol.specs.job import NEW_SHAPE, MeshSpec
from ..scene.errors import SceneError
from ..scene.lora_files import loras_of
from ..scene.shapes.refined import put_imagined, put_refined
from ..scene.shapes.source import read_source
from .submission import Order

__all__ = ["prepare_imagined", "prepare_shape", "put_shape", "shape_hindrance"]

_LONGEST_NAME = 40


def prepare_shape(context: bpy.types.Context, obj: bpy.types.Object) -> Order:
    """Prepares the job for a new shape of an object, by the panel's prompt, model and seed. Changes nothing.

    Raises:
        SceneError: it shows no shape, or the choices do not go together.
    """
    settings, wish = context.scene.pgc, context.scene.pgc.shape
    if obj.mode == "EDIT":
        # What was edited so far counts, without leaving the mode.
        obj.update_from_editmode()
    source = read_source(obj, context.evaluated_depsgraph_get())
    given = {
        "positions": source.positions,
        "faces": source.faces,
        "corner_uvs": source.corner_uvs,
        "material_index": source.material_index,
    }
    refs = {name: array_ref(give_away(array)) for name, array in given.items() if array is not None}
    files = dict[str, npt.NDArray[Any]]()
    try:
        spec = TextureJobSpec(
            meshes=(MeshSpec(name=obj.name, **refs),),
            prompt=PromptSpec(text=settings.prompt, negative=settings.negative),
            settings=SettingsSpec(preset=settings.preset, seed=settings.seed, steps=wish.steps or None),
            guidance=ModelSpec(model=settings.model, loras=loras_of(settings, files)),
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
    return Order(view, spec, {**files, **{refs[name].sha256: given[name] for name in refs}})


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
            guidance=ModelSpec(model=settings.model, loras=loras_of(settings, files)),
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
        shape=ShapeTask.of_prompt().written(),
    )
    return Order(JobView(uuid.uuid4().hex, request, FROM_PROMPT, NOWHERE), spec, files)


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
        made = put_imagined(result, view.request.prompt[:_LONGEST_NAME] or view.object_name)
        note = f"{made.name} stands at the 3D cursor."
        return f"{note} {view.note}" if view.note else note
    if task is None or obj is None:
        raise SceneError(f"It is no longer known how {view.object_name} was sent; refine its shape again.")
    made = put_refined(obj, result, task, bpy.context.evaluated_depsgraph_get())
    note = f"{made.name} stands beside {obj.name}, which is as it was."
    return f"{note} {view.note}" if view.note else note
