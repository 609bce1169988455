# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh that the artist sees, as arrays: evaluated, triangulated, in world space. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import bpy
import numpy as np
import numpy.typing as npt

from ...protocol.arrays import ArrayRef, array_ref, give_away
from ...protocol.specs.job import MeshSpec
from ..errors import SceneError
from .checks import check_surface, check_uvs, far_origin, used_vertices
from .colors import corner_colors
from .evaluation import foreign_slots, instances_of, shown_object

__all__ = ["ExportOptions", "ExportedMesh", "export_mesh", "mesh_spec"]

Target = Literal["object", "selected_faces", "slot"]


@dataclass(frozen=True)
class ExportOptions:
    """What is exported.

    Args:
        uv_map: name of the UV map; None: the active one.
        target: which faces are to be textured.
        slot: index of the material slot, where `target` is "slot".
        faces: the targeted polygons where `target` is "selected_faces", packed by `face_sets.pack_faces`: the selection
            of the moment when the texture was asked for; "": what is selected now.
        colors: whether the active color attribute goes along, for the texture to start from.
    """

    uv_map: str | None = None
    target: Target = "object"
    slot: int = 0
    faces: str = ""
    colors: bool = False


@dataclass(frozen=True, eq=False)
class ExportedMesh:
    """Arrays of one object, Z up, world space.

    Args:
        positions: float32 [V, 3], counted from `origin`; faces: int32 [F, 3].
        origin: float64 [3] in world space: zeros, but for a mesh that is so far away that float32 would not hold it.
        corner_uvs: float32 [F, 3, 2], V up; corner_normals: float32 [F, 3, 3].
        polygon_index, material_index: int32 [F].
        textured: uint8 [F], or None where all faces are.
        corner_colors: float32 [F, 3, 3], linear, in [0, 1]; None: not asked for.
        notes: a sentence for each thing that the artist should know of what was left out.
    """

    name: str
    uv_map: str
    positions: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]
    corner_uvs: npt.NDArray[np.float32]
    corner_normals: npt.NDArray[np.float32]
    polygon_index: npt.NDArray[np.int32]
    material_index: npt.NDArray[np.int32]
    textured: npt.NDArray[np.uint8] | None
    origin: npt.NDArray[np.float64]
    notes: tuple[str, ...] = ()
    corner_colors: npt.NDArray[np.float32] | None = None


def export_mesh(obj: bpy.types.Object, depsgraph: bpy.types.Depsgraph, options: ExportOptions) -> ExportedMesh:
    """Exports the object with its modifiers applied, hidden or not. In Edit Mode: as of its last
    `update_from_editmode`.

    Raises:
        SceneError: it is no mesh, has no faces or no UVs, shows what is no part of its mesh, or nothing of it is to be
            textured.
    """
    if obj.type != "MESH":
        raise SceneError(f"{obj.name} is not a mesh; select a mesh object.")
    with shown_object(obj, depsgraph) as (evaluated, dependencies):
        mesh = evaluated.to_mesh(preserve_all_data_layers=True, depsgraph=dependencies)
        try:
            mesh.calc_loop_triangles()
            _check_shown(obj, mesh, instances_of(evaluated, dependencies))
            return _read(obj, mesh, np.array(evaluated.matrix_world, np.float64), options)
        finally:
            evaluated.to_mesh_clear()


def mesh_spec(exported: ExportedMesh) -> tuple[MeshSpec, dict[str, npt.NDArray[Any]]]:
    """Returns the part of a job spec for a mesh, and its arrays by SHA-256: read-only from now on, sent without
    a copy.
    """
    names = ("positions", "faces", "corner_uvs", "corner_normals", "polygon_index", "material_index", "textured")
    names += ("corner_colors",)
    given: Mapping[str, npt.NDArray[Any]] = {
        name: array for name in names if (array := getattr(exported, name)) is not None
    }
    refs: dict[str, ArrayRef] = {name: array_ref(give_away(array)) for name, array in given.items()}
    arrays = {refs[name].sha256: array for name, array in given.items()}
    return MeshSpec(name=exported.name, **refs), arrays


def _check_shown(obj: bpy.types.Object, mesh: bpy.types.Mesh, instances: int) -> None:
    """Raise unless the mesh is all that the object shows."""
    faces = len(mesh.loop_triangles) > 0
    if obj.instance_type in {"VERTS", "FACES"} and obj.children and not obj.show_instancer_for_viewport:
        raise SceneError(f"{obj.name} places copies of its children and is not shown itself; select one of them.")
    if instances:
        way_out = ", or hide its Geometry Nodes to texture the rest" if faces else ""
        raise SceneError(
            f"{obj.name} shows {instances} instances, which are no part of its mesh; make a real mesh of it{way_out}.",
            "pgc.make_real",
        )
    if not faces and len(obj.data.polygons):
        raise SceneError(f"{obj.name} has no faces with its modifiers at this frame; nothing can be textured.")
    if not faces:
        raise SceneError(f"{obj.name} has no faces; nothing can be textured.")


def _read(
    obj: bpy.types.Object, mesh: bpy.types.Mesh, matrix: npt.NDArray[np.float64], options: ExportOptions
) -> ExportedMesh:
    count = len(mesh.loop_triangles)
    uv_map = _uv_map(obj, mesh, options.uv_map)
    corners = _get(mesh.loop_triangles, "loops", count * 3, np.int32)
    polygons = _get(mesh.loop_triangles, "polygon_index", count, np.int32)
    materials = _get(mesh.loop_triangles, "material_index", count, np.int32)
    faces = _get(mesh.loop_triangles, "vertices", count * 3, np.int32).reshape(count, 3)
    uvs = _get(mesh.uv_layers[uv_map].uv, "vector", len(mesh.loops) * 2, np.float32).reshape(-1, 2)
    normals = _get(mesh.corner_normals, "vector", len(mesh.loops) * 3, np.float32).reshape(-1, 3)
    positions = _get(mesh.vertices, "co", len(mesh.vertices) * 3, np.float32).reshape(-1, 3)
    colors = corner_colors(obj, mesh, faces, corners) if options.colors else None
    positions, faces = used_vertices(positions, faces)
    corner_uvs, corner_normals = uvs[corners].reshape(count, 3, 2), normals[corners].reshape(count, 3, 3)
    if np.linalg.det(matrix[:3, :3]) < 0.0:
        # A mirrored object shows the other side of every triangle: turn them, corners and all.
        faces, corner_uvs, corner_normals = faces[:, ::-1], corner_uvs[:, ::-1], corner_normals[:, ::-1]
        colors = None if colors is None else colors[:, ::-1]
    world = positions @ matrix[:3, :3].T + matrix[:3, 3]
    check_surface(obj.name, world, faces)
    check_uvs(obj.name, uv_map, corner_uvs)
    origin = far_origin(world)
    textured, notes = _textured(obj, mesh, options, polygons, materials)
    return ExportedMesh(
        name=obj.name,
        uv_map=uv_map,
        positions=np.ascontiguousarray(world - origin, dtype=np.float32),
        faces=np.ascontiguousarray(faces),
        corner_uvs=np.ascontiguousarray(corner_uvs),
        corner_normals=_turned(corner_normals, matrix),
        polygon_index=polygons,
        material_index=materials,
        textured=textured,
        origin=origin,
        notes=notes,
        corner_colors=None if colors is None else np.ascontiguousarray(colors),
    )


def _get(collection: Any, name: str, size: int, dtype: type[np.generic]) -> npt.NDArray[Any]:  # noqa: ANN401
    values = np.empty(size, dtype=dtype)
    collection.foreach_get(name, values)
    return values


def _uv_map(obj: bpy.types.Object, mesh: bpy.types.Mesh, wanted: str | None) -> str:
    layers = mesh.uv_layers
    lost = [layer.name for layer in obj.data.uv_layers if layer.name not in layers]
    if not layers and lost:
        raise SceneError(
            f"The modifiers of {obj.name} lose its UV map {lost[0]}; make a real mesh of it, which can be unwrapped.",
            "pgc.make_real",
        )
    if not layers:
        raise SceneError(f"{obj.name} has no UV map; unwrap it first (this adds a new UV map).", fix="pgc.unwrap")
    if wanted is None:
        # Where Geometry Nodes made it, none is active.
        return (layers.active or layers[0]).name
    if wanted not in layers:
        there = ", ".join(layer.name for layer in layers)
        why = ": its modifiers lose it" if wanted in lost else ""
        raise SceneError(f"{obj.name} has no UV map {wanted!r}{why}; it has: {there}.")
    return wanted


def _turned(normals: npt.NDArray[np.float32], matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Normals in world space, of unit length; zeros where a normal is no number. A flat object has no inverse; its
    pseudo-inverse does as well."""
    turned = np.nan_to_num(normals, nan=0.0, posinf=0.0, neginf=0.0) @ np.linalg.pinv(matrix[:3, :3])
    length = np.linalg.norm(turned, axis=-1, keepdims=True)
    return np.ascontiguousarray(turned / np.maximum(length, 1e-20), dtype=np.float32)


def _textured(
    obj: bpy.types.Object,
    mesh: bpy.types.Mesh,
    options: ExportOptions,
    polygons: npt.NDArray[np.int32],
    materials: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.uint8] | None, tuple[str, ...]]:
    """Which triangles are to be textured, None: all; and what is to be said of those that cannot be."""
    match options.target:
        case "object":
            chosen = np.ones(len(polygons), np.bool_)
            missing = ""
        case "slot":
            chosen = materials == options.slot
            missing = f"No face of {obj.name} uses material slot {options.slot + 1}; choose another slot."
        case "selected_faces":
            chosen = _get(mesh.polygons, "select", len(mesh.polygons), np.bool_)[polygons]
            missing = f"No face of {obj.name} is selected; select faces in Edit Mode, then leave it."
    if not chosen.any():
        raise SceneError(missing)
    foreign = np.isin(materials, foreign_slots(obj, mesh)) & chosen
    notes: tuple[str, ...] = ()
    if foreign.any():
        count, of = len(np.unique(polygons[foreign])), len(np.unique(polygons[chosen]))
        if count == of:
            raise SceneError(
                f"The modifiers of {obj.name} give its faces materials of their own, which would hide a texture; "
                "make a real mesh of it.",
                "pgc.make_real",
            )
        chosen &= ~foreign
        notes = (f"{count} of {of} faces keep the materials that modifiers give them.",)
    return (None if chosen.all() else chosen.astype(np.uint8)), notes
