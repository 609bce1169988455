# SPDX-License-Identifier: GPL-3.0-or-later
"""An object with its modifiers as the artist would see it, whether or not the view layer shows it now.

Blender evaluates no modifier of an object that is disabled, in an excluded collection or in another scene, and gives
what is sculpted with Multires no mesh at all. A copy in a scene of its own is evaluated then, and thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy

__all__ = ["foreign_slots", "instances_of", "shown_object"]


@contextmanager
def shown_object(
    obj: bpy.types.Object, depsgraph: bpy.types.Depsgraph
) -> Iterator[tuple[bpy.types.Object, bpy.types.Depsgraph]]:
    """Yields the evaluated object, and the dependencies that it was evaluated in. The scene is as before at the end."""
    if obj.mode == "SCULPT":
        # What was sculpted with Multires or Dyntopo is not in the mesh yet.
        bpy.ops.ed.flush_edits()
    evaluated = obj.evaluated_get(depsgraph)
    # Of what is hidden, the view layer knows the mesh at best, and no instances.
    if evaluated.is_evaluated and obj.visible_get() and obj.mode != "SCULPT":
        yield evaluated, depsgraph
        return
    scene, copy = bpy.data.scenes.new("PGC Export"), obj.copy()
    try:
        copy.hide_viewport = False
        scene.frame_current, scene.frame_subframe = depsgraph.scene.frame_current, depsgraph.scene.frame_subframe
        scene.collection.objects.link(copy)
        layer = scene.view_layers[0]
        layer.update()
        yield copy.evaluated_get(layer.depsgraph), layer.depsgraph
    finally:
        bpy.data.objects.remove(copy)
        bpy.data.scenes.remove(scene)


def instances_of(evaluated: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> int:
    """Counts the instances that an object's Geometry Nodes output: they are shown, and are no part of its mesh."""
    if not any(modifier.type == "NODES" and modifier.show_viewport for modifier in evaluated.modifiers):
        return 0
    original = evaluated.original
    return sum(
        instance.is_instance and instance.parent is not None and instance.parent.original == original
        for instance in depsgraph.object_instances
    )


def foreign_slots(obj: bpy.types.Object, mesh: bpy.types.Mesh) -> list[int]:
    """Returns the material indices of an evaluated mesh whose material a modifier brought: no slot of the object
    changes them.

    Args:
        mesh: the object's, evaluated.
    """
    slots, by_nodes = obj.material_slots, _materials_of_nodes(obj)
    found = []
    for index, material in enumerate(mesh.materials):
        if material is None or (index < len(slots) and slots[index].link == "OBJECT"):
            continue
        own = index < len(slots) and slots[index].material == material.original
        if not own or material.original in by_nodes:
            found.append(index)
    return found


def _materials_of_nodes(obj: bpy.types.Object) -> set[bpy.types.Material]:
    """The materials that an object's Geometry Nodes name: they may give them to faces, whatever the slots hold."""
    found: set[bpy.types.Material] = set()
    seen: set[bpy.types.NodeTree] = set()
    for modifier in obj.modifiers:
        if modifier.type != "NODES" or not modifier.show_viewport or modifier.node_group is None:
            continue
        for name in modifier.keys():  # noqa: SIM118 - it is no dict
            if isinstance(modifier[name], bpy.types.Material):
                found.add(modifier[name])
        waiting = [modifier.node_group]
        while waiting:
            tree = waiting.pop()
            if tree in seen:
                continue
            seen.add(tree)
            for node in tree.nodes:
                inner = getattr(node, "node_tree", None)
                if inner is not None:
                    waiting.append(inner)
                sockets = (socket for socket in node.inputs if socket.type == "MATERIAL")
                found.update(socket.default_value for socket in sockets if socket.default_value is not None)
    return found
