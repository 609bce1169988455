# SPDX-License-Identifier: GPL-3.0-or-later
"""A Principled material for the maps of a version, which glTF exports without repacking anything."""

from __future__ import annotations

from collections.abc import Mapping

import bpy

from ...model.maps import MAPS
from ..errors import SceneError

__all__ = ["GLTF_GROUP", "build_material"]

GLTF_GROUP = "glTF Material Output"
"""Name of the node group in which Blender's glTF exporter looks for occlusion, which Principled does not have."""
PACKED = "orm"
"""Occlusion, roughness and metallic in one image, which stands for its three where it is given."""


def build_material(name: str, images: Mapping[str, bpy.types.Image], uv_map: str) -> bpy.types.Material:
    """Builds a new material that shows the given maps.

    Args:
        images: by map: base_color, roughness, metallic, normal, occlusion, or orm (occlusion, roughness, metallic in
            R, G, B), which stands for its three where it is given.
        uv_map: the UV map that the maps were made for, whichever is active.

    Raises:
        SceneError: a map that no material has.
    """
    unknown = sorted(images.keys() - {*MAPS, PACKED})
    if unknown:
        raise SceneError(f"The map {unknown[0]!r} has no place in a material; update the add-on.")
    replaced = {"occlusion", "roughness", "metallic"} if "orm" in images else set()
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):
        # From 5.0 on it always has nodes, and saying so is deprecated.
        material.use_nodes = True
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    uv = tree.nodes.new("ShaderNodeUVMap")
    uv.uv_map = uv_map
    uv.location = (-1000, 0)
    for row, map_name in enumerate(name for name in (*MAPS, PACKED) if name in images and name not in replaced):
        texture = tree.nodes.new("ShaderNodeTexImage")
        texture.image = images[map_name]
        texture.label = map_name
        texture.location = (-700, 300 - 300 * row)
        tree.links.new(uv.outputs["UV"], texture.inputs["Vector"])
        _connect(tree, map_name, texture, shader, uv_map)
    return material


def _connect(
    tree: bpy.types.NodeTree, map_name: str, texture: bpy.types.Node, shader: bpy.types.Node, uv_map: str
) -> None:
    color, beside = texture.outputs["Color"], (texture.location.x + 350, texture.location.y)
    match map_name:
        case "occlusion":
            tree.links.new(color, _socket_named(_gltf_output(tree, beside), "Occlusion"))
        case "orm":
            split = tree.nodes.new("ShaderNodeSeparateColor")
            split.location = beside
            tree.links.new(color, split.inputs["Color"])
            red, green, blue = split.outputs
            tree.links.new(green, _socket(shader, "Roughness"))
            tree.links.new(blue, _socket(shader, "Metallic"))
            tree.links.new(red, _socket_named(_gltf_output(tree, (beside[0] + 250, beside[1])), "Occlusion"))
        case "normal":
            relief = tree.nodes.new("ShaderNodeNormalMap")
            relief.uv_map = uv_map
            relief.location = beside
            tree.links.new(color, relief.inputs["Color"])
            tree.links.new(relief.outputs["Normal"], _socket(shader, "Normal"))
        case _:
            tree.links.new(color, _socket(shader, MAPS[map_name].socket))


def _gltf_output(tree: bpy.types.NodeTree, location: tuple[float, float]) -> bpy.types.Node:
    """The group node that tells the exporter about occlusion; it changes nothing in a render."""
    group = bpy.data.node_groups.get(GLTF_GROUP)
    if group is None or group.bl_idname != "ShaderNodeTree" or not _has_occlusion(group):
        group = bpy.data.node_groups.new(GLTF_GROUP, "ShaderNodeTree")
        group.interface.new_socket("Occlusion", in_out="INPUT", socket_type="NodeSocketFloat").default_value = 1.0
        group.nodes.new("NodeGroupInput")
        group.nodes.new("NodeGroupOutput").location = (200, 0)
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree = group
    node.location = location
    return node


def _has_occlusion(group: bpy.types.NodeTree) -> bool:
    return any(item.item_type == "SOCKET" and item.name == "Occlusion" for item in group.interface.items_tree)


def _socket(node: bpy.types.Node, identifier: str) -> bpy.types.NodeSocket:
    """By identifier: names are translated and have changed between versions."""
    return next(socket for socket in node.inputs if socket.identifier == identifier)


def _socket_named(node: bpy.types.Node, name: str) -> bpy.types.NodeSocket:
    """Of a group, whose identifiers are numbers and whose names stay as they were given."""
    return next(socket for socket in node.inputs if socket.name == name)
