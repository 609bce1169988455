# SPDX-License-Identifier: GPL-3.0-or-later
"""From the panel's choices and an object to a job: what is sent, and what is kept of it. Changes nothing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from ..client import (
    CameraSamplerSpec,
    FieldError,
    PromptSpec,
    SettingsSpec,
    TextureJobSpec,
    WireError,
)
from ..model.conditions.named import NAMED_SETTINGS
from ..model.conditions.starts import grid_objection, wished_warm_start
from ..model.conditions.views import prompts_of_views
from ..model.maps import MAPS
from ..model.methods import METHOD_SETTINGS, ChosenMethod
from ..model.problems import of_error
from ..model.state import JobRequest, JobView, Problem, ServerView
from ..protocol.job_size import MOST_TRIANGLES, refusal
from ..scene.camera_rig import rig_for, scene_cameras, view_spec
from ..scene.errors import SceneError
from ..scene.meshes.export import ExportedMesh, ExportOptions, export_mesh, mesh_spec
from ..scene.meshes.face_sets import pack_faces
from ..scene.meshes.uv_watch import packed_uvs_of
from ..scene.model_files import model_spec
from ..scene.ownership import check_editable, check_private
from ..scene.painting.keep_mask import KeptTexture
from .job_images import image_fields, kept_of, mask_settings, reference_of

__all__ = ["KEPT", "SEEDS", "Order", "objection", "prepare_order", "variations"]

KEPT = (
    *("model", "preset", "steps", "texture_size", "target", "cameras", "uv_map", "separate_slots"),
    *("use_start", "strength", "soft_edge", "mask_anew"),
    *METHOD_SETTINGS,
)
"""Settings that a version remembers, to be made again with them; its maps are a set and stand beside them."""
SEEDS = 1 << 31
"""So many there are; Blender's numbers go no further."""


@dataclass(frozen=True, eq=False)
class Order:
    """A job that is ready to be sent."""

    view: JobView
    spec: TextureJobSpec
    arrays: Mapping[str, npt.NDArray[Any]]
    notes: tuple[str, ...] = ()
    """What the artist is told before it is sent."""


def prepare_order(context: bpy.types.Context, obj: bpy.types.Object) -> Order:
    """Prepares everything that a job for one object needs.

    Raises:
        SceneError: the object cannot be textured as it is.
    """
    settings = context.scene.pgc
    if not context.scene.is_editable:
        raise SceneError(f"The scene {context.scene.name} is linked from another file; work in a scene of this file.")
    check_editable(obj)
    _check_place(obj, settings.target)
    if obj.mode == "EDIT":
        # What was edited so far counts, without leaving the mode.
        obj.update_from_editmode()
    options = _options(settings, obj)
    depsgraph = context.evaluated_depsgraph_get()
    mesh = export_mesh(obj, depsgraph, options)
    if len(mesh.faces) > MOST_TRIANGLES:
        raise SceneError(
            f"{obj.name} has {len(mesh.faces):,} triangles, and a texture takes at most {MOST_TRIANGLES:,}; "
            "lower its subdivision or decimate it first."
        )
    kept, masked = kept_of(settings, obj, mesh)
    size = int(settings.texture_size) if kept is None else len(kept.picture)
    try:
        spec, arrays = _spec(context, depsgraph, obj, mesh, kept)
    except FieldError as error:
        # What no job may say: nothing is sent.
        raise SceneError(_said_of(settings, error)) from error
    request = replace(_request(settings, options, mesh.uv_map, size), uvs=packed_uvs_of(obj, mesh.uv_map))
    view = JobView(uuid.uuid4().hex, request, obj.name, obj.session_uid)
    if not masked and obj.pgc.keep_mask is not None and settings.target != "objects":
        color = "black" if obj.pgc.mask_reading == "KEEP" else "white"
        view.warning = f"The mask of {obj.name} is {color} all over, so nothing of its texture is kept."
    view.note = " ".join(mesh.notes)
    return Order(view, spec, arrays, () if kept is None else kept.notes)


def _said_of(settings: bpy.types.PropertyGroup, error: FieldError) -> str:
    """What is wrong, and in which row of the panel, where one names a model of the server's own."""
    for name in NAMED_SETTINGS:
        value = getattr(settings, name).strip()
        if value and repr(value) in error.text:
            return f"{settings.bl_rna.properties[name].name}: {error.text}"
    return error.text


def variations(order: Order, count: int) -> list[Order]:
    """Returns an order and its variations, each with the next seed. They share mesh and pictures; the first is put on
    the object, the others become versions that wait for a click.
    """
    found = [order]
    for index in range(1, count):
        seed = (order.spec.settings.seed + index) % SEEDS
        view = replace(
            order.view, key=uuid.uuid4().hex, request=replace(order.view.request, seed=seed, waits=True), warning=""
        )
        spec = replace(order.spec, settings=replace(order.spec.settings, seed=seed))
        found.append(replace(order, view=view, spec=spec, notes=()))
    return found


def _spec(
    context: bpy.types.Context,
    depsgraph: bpy.types.Depsgraph,
    obj: bpy.types.Object,
    mesh: ExportedMesh,
    kept: KeptTexture | None,
) -> tuple[TextureJobSpec, dict[str, npt.NDArray[Any]]]:
    """The job, and its arrays by SHA-256. Raises FieldError for what no job may say."""
    settings = context.scene.pgc
    if kept is not None:
        # The picture is the start; the mesh's own colors are none beside it.
        mesh = replace(mesh, corner_colors=None)
    part, arrays = mesh_spec(mesh)
    method = ChosenMethod.of(settings, settings.model, has_reference=settings.reference is not None)
    begins = kept is not None or mesh.corner_colors is not None
    no_grid = grid_objection(maps=settings.maps, target=settings.target, begins=begins)
    spec = TextureJobSpec(
        meshes=(part,),
        prompt=PromptSpec(
            text=settings.prompt, negative=settings.negative, per_view=prompts_of_views(settings.prompt, settings)
        ),
        cameras=_cameras(context, depsgraph, mesh.origin),
        settings=SettingsSpec(
            preset=settings.preset,
            seed=settings.seed,
            steps=settings.steps or None,
            texture_size=int(settings.texture_size) if kept is None else len(kept.picture),
            separate_slots=settings.separate_slots,
            strength=settings.strength if settings.use_start or mesh.corner_colors is not None else None,
            **mask_settings(settings, kept),
            texture_field="texels" if no_grid else settings.texture_field,
            warm_start=wished_warm_start(
                settings.warm_start, grid=not no_grid and settings.texture_field == "hashgrid"
            ),
        ),
        guidance=model_spec(settings, arrays, method.guidance_scale),
        distillation=method.distillation(),
        regulation=method.regulation_spec(),
        conditions=method.conditions(reference_of(settings, method, arrays)),
        maps=tuple(name for name in MAPS if name in settings.maps),
        **image_fields(kept, arrays),
        name=obj.name,
    )
    return spec, arrays


def objection(
    orders: Sequence[Order], server: ServerView, describe: Callable[[WireError], Problem] = of_error
) -> Problem | None:
    """Returns what the server's limits say against these orders, by the first that is too large; None: nothing, or no
    server has told its limits yet (the client then looks when it has, before it uploads)."""
    for order in orders:
        error = None if server.limits is None else refusal(order.spec, server.limits)
        if error is not None:
            problem = describe(error)
            return replace(problem, text=f"{order.view.object_name}: {problem.text}")
    return None


def _check_place(obj: bpy.types.Object, target: str) -> None:
    """Raise where the result could not be put on the object: before anything is spent."""
    if obj.type != "MESH":
        return
    if target == "selected_faces":
        check_private(obj, "faces of it would change")
    elif not obj.material_slots:
        check_private(obj, "a material slot must be added to it")


def _options(settings: bpy.types.PropertyGroup, obj: bpy.types.Object) -> ExportOptions:
    target = "object" if settings.target == "objects" else settings.target
    faces = ""
    if target == "selected_faces" and obj.type == "MESH":
        selected = np.empty(len(obj.data.polygons), np.bool_)
        obj.data.polygons.foreach_get("select", selected)
        faces = pack_faces(selected)
    # Of several objects, each has UV maps of its own.
    uv_map = settings.uv_map if settings.target != "objects" else ""
    return ExportOptions(
        uv_map=uv_map or None,
        target=target,
        slot=obj.active_material_index,
        faces=faces,
        colors=settings.use_vertex_colors and not settings.use_start,
    )


def _request(settings: bpy.types.PropertyGroup, options: ExportOptions, uv_map: str, size: int) -> JobRequest:
    return JobRequest(
        prompt=settings.prompt,
        negative=settings.negative,
        seed=settings.seed,
        model=settings.model,
        preset=settings.preset,
        texture_size=size,
        uv_map=uv_map,
        target=options.target,
        slot=options.slot,
        faces=options.faces,
        settings=json.dumps(_remembered(settings)),
    )


def _remembered(settings: bpy.types.PropertyGroup) -> dict[str, Any]:
    """What a version keeps of the panel; of the reference, its name."""
    image = settings.reference
    extra = {"maps": sorted(settings.maps), "reference": "" if image is None else image.name}
    return {name: getattr(settings, name) for name in KEPT} | extra


def _cameras(context: bpy.types.Context, depsgraph: bpy.types.Depsgraph, origin: npt.NDArray[np.float64]) -> Any:  # noqa: ANN401 - of two types
    settings, scene = context.scene.pgc, context.scene
    match settings.cameras:
        case "scene":
            cameras = scene_cameras(scene.objects)
            if not cameras:
                raise SceneError("The scene has no camera; add one, or choose All Around.", "pgc.use_all_around")
        case "rig":
            cameras = scene_cameras(settings.rig.all_objects) if settings.rig is not None else []
            if not cameras:
                raise SceneError("The camera rig has no cameras yet; add a rig around the object.", "pgc.add_rig")
        case "view":
            return view_spec(context, origin)
        case drawn:
            return CameraSamplerSpec(sampler=drawn)
    return rig_for(scene, depsgraph, cameras, origin)
