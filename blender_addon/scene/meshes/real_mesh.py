# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh object of what another object shows: modifiers applied, instances realised. That object stays as it is."""

from __future__ import annotations

import bpy

from ..errors import SceneError
from .evaluation import shown_object

__all__ = ["can_become_real", "is_collection_instance", "make_real_mesh"]

_SURFACES = ("CURVE", "SURFACE", "FONT", "META")


def is_collection_instance(obj: bpy.types.Object) -> bool:
    """Says whether the object is an empty that stands for a collection."""
    return obj.type == "EMPTY" and obj.instance_type == "COLLECTION" and obj.instance_collection is not None


def can_become_real(obj: bpy.types.Object) -> bool:
    """Says whether the object is no mesh, and shows surfaces all the same; cheap enough for drawing."""
    return obj.type in _SURFACES or is_collection_instance(obj)


def make_real_mesh(obj: bpy.types.Object, context: bpy.types.Context) -> bpy.types.Object:
    """Makes a new object with a mesh of its own, where `obj` is, selected and active; `obj` is hidden from view and
    renders.

    Raises:
        SceneError: the object shows no face.
    """
    mesh = _shown_mesh(obj, context)
    if not len(mesh.polygons):
        bpy.data.meshes.remove(mesh)
        raise SceneError(f"{obj.name} shows no faces, even with its instances made real; nothing can be textured.")
    real = bpy.data.objects.new(f"{obj.name} Real", mesh)
    real.matrix_world = obj.matrix_world
    here = {context.scene.collection, *context.scene.collection.children_recursive}
    homes = [one for one in obj.users_collection if one.is_editable and one in here]
    for collection in homes or [context.scene.collection]:
        collection.objects.link(real)
    for other in context.selected_objects:
        other.select_set(False)
    if obj.name in context.view_layer.objects:
        obj.hide_set(True)
    if obj.is_editable:
        obj.hide_render = True
    if real.name not in context.view_layer.objects:
        # Its collections are excluded: what nobody can select would help nobody.
        context.scene.collection.objects.link(real)
    real.select_set(True)
    context.view_layer.objects.active = real
    return real


def _shown_mesh(obj: bpy.types.Object, context: bpy.types.Context) -> bpy.types.Mesh:
    """A mesh in the file, of a copy with one more modifier: what makes instances real must be the last in the stack."""
    copy, group = obj.copy(), None
    if obj.type != "META":
        group = _realize_group()
        copy.modifiers.new("Realize", "NODES").node_group = group
    try:
        copy.hide_viewport = True
        with shown_object(copy, context.evaluated_depsgraph_get()) as (evaluated, depsgraph):
            mesh = bpy.data.meshes.new_from_object(evaluated, preserve_all_data_layers=True, depsgraph=depsgraph)
    finally:
        bpy.data.objects.remove(copy)
        if group is not None:
            bpy.data.node_groups.remove(group)
    mesh.name = f"{obj.name} Real"
    return mesh


def _realize_group() -> bpy.types.NodeTree:
    group = bpy.data.node_groups.new("PGC Realize", "GeometryNodeTree")
    for direction in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=direction, socket_type="NodeSocketGeometry")
    start, end = group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")
    realize = group.nodes.new("GeometryNodeRealizeInstances")
    group.links.new(start.outputs[0], realize.inputs[0])
    group.links.new(realize.outputs[0], end.inputs[0])
    return group
