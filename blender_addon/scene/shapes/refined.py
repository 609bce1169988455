# SPDX-License-Identifier: GPL-3.0-or-later
"""A new object of a new shape, beside the one that it came from. That one is read, and never changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Matrix

from ...model.conditions.shapes import SUFFIX, ShapeTask
from ...protocol.meshes import ResultMesh
from ..errors import SceneError
from ..live_preview import covered_material
from ..meshes.evaluation import instances_of, shown_object
from ..meshes.new_uvs import mesh_digest

__all__ = [
    "ShapeSource",
    "in_own_axes",
    "place_at_cursor",
    "place_beside",
    "put_imagined",
    "put_refined",
    "read_source",
]

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
_COLORS = "PGC Shape"
_GAP = 1.6
"""From one object to the next, over its width: a shape may grow."""


@dataclass(frozen=True, eq=False)
class ShapeSource:
    """An object's shown mesh, ready to be sent: in the world's axes and sizes, counted from the object's origin.

    Args:
        positions: float32 [V, 3]; faces: int32 [F, 3], seen from outside as the world shows them.
        corner_uvs: float32 [F, 3, 2], where it has a UV map; material_index: int32 [F].
    """

    positions: F32
    faces: I32
    corner_uvs: F32 | None
    material_index: I32
    task: ShapeTask


def read_source(obj: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> ShapeSource:
    """Reads an object's mesh, with its modifiers.

    Raises:
        SceneError: it shows no faces, or has no volume in the world.
    """
    turn = np.array(obj.matrix_world, np.float64)[:3, :3]
    _check_turn(obj.name, turn)
    with shown_object(obj, depsgraph) as (evaluated, dependencies):
        if instances_of(evaluated, dependencies):
            raise SceneError(
                f"{obj.name} shows instances, which are no part of its mesh; make a real mesh of it.", "pgc.make_real"
            )
        mesh = evaluated.to_mesh(preserve_all_data_layers=True, depsgraph=dependencies)
        try:
            mesh.calc_loop_triangles()
            count = len(mesh.loop_triangles)
            if not count:
                raise SceneError(f"{obj.name} has no faces, so that there is no shape to refine.")
            return _read(mesh, count, turn)
        finally:
            evaluated.to_mesh_clear()


def _check_turn(name: str, turn: npt.NDArray[np.float64]) -> None:
    volume, size = float(np.linalg.det(turn)), float(np.abs(turn).max())
    if not np.isfinite(volume) or abs(volume) <= 1e-9 * size**3:
        raise SceneError(f"{name} is scaled flat in the scene, so that it has no shape; apply or change its scale.")


def _read(mesh: bpy.types.Mesh, count: int, turn: npt.NDArray[np.float64]) -> ShapeSource:
    faces = _get(mesh.loop_triangles, "vertices", count * 3, np.int32).reshape(count, 3)
    loops = _get(mesh.loop_triangles, "loops", count * 3, np.int32).reshape(count, 3)
    places = _get(mesh.vertices, "co", len(mesh.vertices) * 3, np.float32).reshape(-1, 3)
    uvs = None
    if mesh.uv_layers:
        layer = mesh.uv_layers.active or mesh.uv_layers[0]
        uvs = _get(layer.uv, "vector", len(mesh.loops) * 2, np.float32).reshape(-1, 2)[loops]
        uvs = np.where(np.isfinite(uvs), uvs, np.float32(0.0))
    if np.linalg.det(turn) < 0.0:
        # A mirrored object shows the other side of every triangle.
        faces, uvs = faces[:, ::-1], None if uvs is None else uvs[:, ::-1]
    return ShapeSource(
        positions=np.ascontiguousarray(places.astype(np.float64) @ turn.T, dtype=np.float32),
        faces=np.ascontiguousarray(faces),
        corner_uvs=None if uvs is None else np.ascontiguousarray(uvs, dtype=np.float32),
        material_index=_get(mesh.loop_triangles, "material_index", count, np.int32),
        task=ShapeTask(digest=mesh_digest(mesh, ""), turn=tuple(turn.reshape(-1).tolist())),
    )


def in_own_axes(positions: F32, task: ShapeTask) -> F32:
    """Returns positions of a result in the axes of the object that they came from, [V, 3]."""
    inverse = np.linalg.inv(np.array(task.turn).reshape(3, 3))
    return np.ascontiguousarray(positions.astype(np.float64) @ inverse.T, dtype=np.float32)


def place_beside(obj: bpy.types.Object) -> Matrix:
    """Returns the matrix of what stands beside an object, and beside what came of it before: a step along X."""
    matrix = np.array(obj.matrix_world, np.float64)
    corners = np.array([tuple(corner) for corner in obj.bound_box]) @ matrix[:3, :3].T
    width = float(np.ptp(corners[:, 0]))
    before = sum(one.name.startswith(f"{obj.name} {SUFFIX}") for one in bpy.data.objects)
    placed = obj.matrix_world.copy()
    placed.translation.x += max(width, 1e-3) * _GAP * (before + 1)
    return placed


def place_at_cursor(positions: F32) -> Matrix:
    """Returns the matrix of what stands on the 3D cursor: its lowest place is as high as that."""
    placed = Matrix.Translation(bpy.context.scene.cursor.location)
    placed.translation.z -= float(positions[:, 2].min())
    return placed


def put_imagined(result: ResultMesh, name: str) -> bpy.types.Object:
    """Makes a new object of a result that came from no other, on the 3D cursor, with its colours as its material."""
    mesh = _built(result.positions, result)
    mesh.name = name
    if result.corner_colors is not None:
        mesh.materials.append(_colored(name))
    made = bpy.data.objects.new(name, mesh)
    made.matrix_world = place_at_cursor(result.positions)
    bpy.context.collection.objects.link(made)
    return made


def _colored(name: str) -> bpy.types.Material:
    """A material that shows the colours of a mesh's corners."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    attribute = tree.nodes.new("ShaderNodeAttribute")
    attribute.attribute_name = _COLORS
    attribute.location = (-300.0, 200.0)
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    tree.links.new(attribute.outputs["Color"], shader.inputs["Base Color"])
    return material


def put_refined(
    obj: bpy.types.Object, result: ResultMesh, task: ShapeTask, depsgraph: bpy.types.Depsgraph
) -> bpy.types.Object:
    """Makes a new object of a result, with a mesh and materials of its own, in the collections of the old one.

    Where faces were kept and the mesh is still what was sent, all that hangs on vertices, corners and faces is kept:
    UV maps, vertex groups, attributes.
    """
    places = in_own_axes(result.positions, task)
    mirrored = np.linalg.det(np.array(task.turn).reshape(3, 3)) < 0.0
    if mirrored:
        result = _turned_over(result)
    mesh = _moved_copy(obj, places, result, task, depsgraph) or _built(places, result)
    mesh.name = f"{obj.name} {SUFFIX}"
    _copy_materials(obj, mesh)
    placed = place_beside(obj)
    made = bpy.data.objects.new(f"{obj.name} {SUFFIX}", mesh)
    made.matrix_world = placed
    scene = bpy.context.scene
    here = {scene.collection, *scene.collection.children_recursive}
    homes = [one for one in obj.users_collection if one.is_editable and one in here]
    for collection in homes or [scene.collection]:
        collection.objects.link(made)
    return made


def _turned_over(result: ResultMesh) -> ResultMesh:
    uvs, colors = result.corner_uvs, result.corner_colors
    return ResultMesh(
        positions=result.positions,
        faces=result.faces[:, ::-1],
        corner_uvs=None if uvs is None else uvs[:, ::-1],
        corner_colors=None if colors is None else colors[:, ::-1],
        material_index=result.material_index,
    )


def _moved_copy(
    obj: bpy.types.Object, places: F32, result: ResultMesh, task: ShapeTask, depsgraph: bpy.types.Depsgraph
) -> bpy.types.Mesh | None:
    """The object's own mesh with its vertices moved; None where it is another one by now, or has other faces."""
    with shown_object(obj, depsgraph) as (evaluated, dependencies):
        mesh = bpy.data.meshes.new_from_object(evaluated, preserve_all_data_layers=True, depsgraph=dependencies)
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    if count != len(result.faces) or len(mesh.vertices) != len(places) or mesh_digest(mesh, "") != task.digest:
        bpy.data.meshes.remove(mesh)
        return None
    faces = _get(mesh.loop_triangles, "vertices", count * 3, np.int32).reshape(count, 3)
    if not np.array_equal(faces, result.faces):
        bpy.data.meshes.remove(mesh)
        return None
    loops = _get(mesh.loop_triangles, "loops", count * 3, np.int32).reshape(count, 3)
    if mesh.has_custom_normals:
        # They are those of the old shape.
        mesh.normals_split_custom_set(np.zeros((len(mesh.loops), 3), np.float32))
    mesh.vertices.foreach_set("co", places.reshape(-1))
    if result.corner_colors is not None:
        _add_colors(mesh, loops, result.corner_colors)
    mesh.update()
    return mesh


def _built(places: F32, result: ResultMesh) -> bpy.types.Mesh:
    """A mesh of the result's triangles."""
    mesh, count = bpy.data.meshes.new(SUFFIX), len(result.faces)
    mesh.vertices.add(len(places))
    mesh.vertices.foreach_set("co", places.reshape(-1))
    mesh.loops.add(count * 3)
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(result.faces).reshape(-1))
    mesh.polygons.add(count)
    mesh.polygons.foreach_set("loop_start", np.arange(0, count * 3, 3, dtype=np.int32))
    if result.material_index is not None:
        mesh.polygons.foreach_set("material_index", result.material_index)
    mesh.update(calc_edges=True)
    loops = np.arange(count * 3).reshape(count, 3)
    if result.corner_uvs is not None:
        layer = mesh.uv_layers.new(name="UVMap")
        layer.uv.foreach_set("vector", np.ascontiguousarray(result.corner_uvs).reshape(-1))
    if result.corner_colors is not None:
        _add_colors(mesh, loops, result.corner_colors)
    mesh.shade_smooth()
    # A triangle that names a vertex twice is none for Blender.
    mesh.validate()
    return mesh


def _add_colors(mesh: bpy.types.Mesh, loops: npt.NDArray[Any], colors: F32) -> None:
    """Colours that were learnt with the shape, as an attribute: a texture may start from them."""
    layer = mesh.color_attributes.new(_COLORS, "FLOAT_COLOR", "CORNER")
    values = np.ones((len(mesh.loops), 4), np.float32)
    values[loops.reshape(-1), :3] = colors.reshape(-1, 3)
    layer.data.foreach_set("color", values.reshape(-1))


def _copy_materials(obj: bpy.types.Object, mesh: bpy.types.Mesh) -> None:
    """Gives the mesh the object's materials, copies of its own; previews are nobody's material."""
    count = max(len(mesh.materials), len(obj.material_slots))
    shown = [covered_material(obj, index) for index in range(len(obj.material_slots))]
    # Geometry Nodes may bring more than the object has slots.
    shown += [mesh.materials[index] for index in range(len(shown), count)]
    copies = {material: material.copy() for material in shown if material is not None}
    slots = _get(mesh.polygons, "material_index", len(mesh.polygons), np.int32)
    mesh.materials.clear()
    for material in shown:
        mesh.materials.append(None if material is None else copies[material])
    # Clearing puts every face into the first slot.
    mesh.polygons.foreach_set("material_index", slots)


def _get(collection: Any, name: str, size: int, dtype: type[np.generic]) -> npt.NDArray[Any]:  # noqa: ANN401
    values = np.empty(size, dtype=dtype)
    collection.foreach_get(name, values)
    return values
