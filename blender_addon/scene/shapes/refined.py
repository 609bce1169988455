# SPDX-License-Identifier: GPL-3.0-or-later
"""A new object of a new shape, beside the one that it came from. That one is read, and never changed."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Matrix

from ...model.conditions.shapes import SUFFIX, ShapeTask
from ...protocol.meshes import ResultMesh
from ..live_preview import covered_material
from ..meshes.evaluation import shown_object
from ..meshes.new_uvs import mesh_digest
from .source import is_flat, read_array

__all__ = [
    "place_at_cursor",
    "place_beside",
    "put_imagined",
    "put_refined",
]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
_COLORS = "PGC Shape"
_OF = "pgc_refined_of"
"""The property of a new object that names the one that it came from."""
_GAP = 1.6
"""From one object to the next, over its width: a shape may grow."""


def place_beside(obj: bpy.types.Object) -> Matrix:
    """Returns the matrix of what stands beside an object, and beside what came of it before: a step along X."""
    matrix = np.array(obj.matrix_world, np.float64)
    corners = np.array([tuple(corner) for corner in obj.bound_box]) @ matrix[:3, :3].T
    width = float(np.ptp(corners[:, 0]))
    # By name they would not be found where Blender has cut a long one.
    before = sum(one.get(_OF) == obj.name for one in bpy.data.objects)
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
    _link(made, [bpy.context.collection] if _takes_objects(bpy.context.collection) else [])
    return made


def _takes_objects(collection: bpy.types.Collection | None) -> bool:
    """Whether an object can be put into it: one from a library, or an override of one, takes none."""
    return collection is not None and collection.is_editable and collection.override_library is None


def _link(made: bpy.types.Object, homes: list[bpy.types.Collection]) -> None:
    """Puts a new object into the collections, or that of the scene; one that has no place there goes again."""
    try:
        for collection in homes or [bpy.context.scene.collection]:
            collection.objects.link(made)
    except RuntimeError:
        mesh = made.data
        bpy.data.objects.remove(made)
        bpy.data.meshes.remove(mesh)
        raise


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
    with shown_object(obj, depsgraph) as (evaluated, dependencies):
        mesh = bpy.data.meshes.new_from_object(evaluated, preserve_all_data_layers=True, depsgraph=dependencies)
    as_sent = mesh_digest(mesh, "") == task.digest
    turn = _turn(obj, task, as_sent)
    # From the world's axes, in which it came, to the object's own.
    places = np.ascontiguousarray(result.positions.astype(np.float64) @ np.linalg.inv(turn).T, dtype=np.float32)
    if np.linalg.det(turn) < 0.0:
        result = _turned_over(result)
    if not (as_sent and _moved(mesh, places, result)):
        bpy.data.meshes.remove(mesh)
        mesh = _built(places, result)
    mesh.name = f"{obj.name} {SUFFIX}"
    _copy_materials(obj, mesh)
    made = bpy.data.objects.new(f"{obj.name} {SUFFIX}", mesh)
    _place(made, place_beside(obj))
    made[_OF] = obj.name
    scene = bpy.context.scene
    here = {scene.collection, *scene.collection.children_recursive}
    _link(made, [one for one in obj.users_collection if one in here and _takes_objects(one)])
    return made


def _turn(obj: bpy.types.Object, task: ShapeTask, as_sent: bool) -> F64:
    """The rotation and scale [3, 3] that bring the result's mesh into the world. Where the mesh is another one by now,
    as after Apply Scale, or the result was fetched for another object, it is what that object has now.
    """
    now = np.array(obj.matrix_world, np.float64)[:3, :3]
    return np.array(task.turn).reshape(3, 3) if as_sent or is_flat(now) else now


def _place(made: bpy.types.Object, placed: Matrix) -> None:
    """Gives a new object its place. Its own matrix has no shear, as that of an object with parents may: then its mesh
    has it.
    """
    made.matrix_world = placed
    own, wanted = (np.array(matrix, np.float64)[:3, :3] for matrix in (made.matrix_basis, placed))
    if np.abs(own - wanted).max() > 1e-5 * np.abs(wanted).max():
        made.data.transform(Matrix((np.linalg.pinv(own) @ wanted).tolist()).to_4x4())


def _turned_over(result: ResultMesh) -> ResultMesh:
    uvs, colors = result.corner_uvs, result.corner_colors
    return ResultMesh(
        positions=result.positions,
        faces=result.faces[:, ::-1],
        corner_uvs=None if uvs is None else uvs[:, ::-1],
        corner_colors=None if colors is None else colors[:, ::-1],
        material_index=result.material_index,
    )


def _moved(mesh: bpy.types.Mesh, places: F32, result: ResultMesh) -> bool:
    """Moves the vertices of a copy of the object's mesh; False where the result has other faces."""
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    if count != len(result.faces) or len(mesh.vertices) != len(places):
        return False
    faces = read_array(mesh.loop_triangles, "vertices", count * 3, np.int32).reshape(count, 3)
    if not np.array_equal(faces, result.faces):
        return False
    loops = read_array(mesh.loop_triangles, "loops", count * 3, np.int32).reshape(count, 3)
    if mesh.has_custom_normals:
        # They are those of the old shape.
        mesh.normals_split_custom_set(np.zeros((len(mesh.loops), 3), np.float32))
    mesh.vertices.foreach_set("co", places.reshape(-1))
    if result.corner_colors is not None:
        _add_colors(mesh, loops, result.corner_colors)
    mesh.update()
    return True


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
    # Those of a shape that this one came from: the material is to find the new ones under their name.
    old = mesh.color_attributes.get(_COLORS)
    if old is not None:
        mesh.color_attributes.remove(old)
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
    slots = read_array(mesh.polygons, "material_index", len(mesh.polygons), np.int32)
    mesh.materials.clear()
    for material in shown:
        mesh.materials.append(None if material is None else copies[material])
    # Clearing puts every face into the first slot.
    mesh.polygons.foreach_set("material_index", slots)
