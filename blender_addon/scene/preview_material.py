# SPDX-License-Identifier: GPL-3.0-or-later
"""The material that shows a run on the mesh: one float image a map, found again by the names of its nodes."""

from __future__ import annotations

import bpy

from ..preview_frames import AtlasPlace, PreviewFrame

__all__ = ["MATERIAL_NAME", "new_preview_material", "remove_preview_material", "show_frame"]

MATERIAL_NAME = "PGC Preview"
_MAPS = ("base_color", "roughness", "metallic", "normal")
_NODE = "pgc {}"


def new_preview_material(uv_map: str) -> bpy.types.Material:
    """A material without pictures yet; `show_frame` adds them as they come."""
    material = bpy.data.materials.new(MATERIAL_NAME)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    uv = nodes.new("ShaderNodeUVMap")
    uv.uv_map = uv_map
    mapping = nodes.new("ShaderNodeMapping")
    mapping.name = _NODE.format("mapping")
    links.new(uv.outputs["UV"], mapping.inputs["Vector"])
    return material


def show_frame(material: bpy.types.Material, frame: PreviewFrame) -> None:
    """Put a frame's pixels into its map's image: one `foreach_set`, no undo step. Unknown maps are passed over."""
    if frame.map not in _MAPS:
        return
    node = material.node_tree.nodes.get(_NODE.format(frame.map)) or _add_map(material, frame.map)
    image = node.image
    if image is None or tuple(image.size) != (frame.width, frame.height):
        node.image = _new_image(frame)
        if image is not None:
            bpy.data.images.remove(image)
        image = node.image
        _place(material, frame.place)
    image.pixels.foreach_set(frame.rgba)
    image.update()


def remove_preview_material(material: bpy.types.Material) -> None:
    """The material and its pictures go."""
    pictures = [node.image for node in material.node_tree.nodes if node.bl_idname == "ShaderNodeTexImage"]
    bpy.data.materials.remove(material)
    for image in pictures:
        if image is not None and image.users == 0:
            bpy.data.images.remove(image)


def _new_image(frame: PreviewFrame) -> bpy.types.Image:
    # Float, so that `foreach_set` is a copy; linear values, so that no colour space has to be chosen.
    is_data = frame.map != "base_color"
    name = f"{MATERIAL_NAME} {frame.map}"
    return bpy.data.images.new(name, frame.width, frame.height, alpha=False, float_buffer=True, is_data=is_data)


def _place(material: bpy.types.Material, place: AtlasPlace) -> None:
    """Where UDIM tiles lie in the picture."""
    mapping = material.node_tree.nodes[_NODE.format("mapping")]
    mapping.inputs["Location"].default_value = (-place.u / place.columns, -place.v / place.rows, 0.0)
    mapping.inputs["Scale"].default_value = (1.0 / place.columns, 1.0 / place.rows, 1.0)


def _add_map(material: bpy.types.Material, name: str) -> bpy.types.Node:
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.name = _NODE.format(name)
    texture.location = (-600, -300 * _MAPS.index(name))
    tree.links.new(tree.nodes[_NODE.format("mapping")].outputs["Vector"], texture.inputs["Vector"])
    color = texture.outputs["Color"]
    if name == "normal":
        bump = tree.nodes.new("ShaderNodeNormalMap")
        bump.uv_map = next(node.uv_map for node in tree.nodes if node.bl_idname == "ShaderNodeUVMap")
        tree.links.new(color, bump.inputs["Color"])
        color = bump.outputs["Normal"]
    identifier = {"base_color": "Base Color"}.get(name, name.capitalize())
    tree.links.new(color, next(socket for socket in shader.inputs if socket.identifier == identifier))
    return texture
