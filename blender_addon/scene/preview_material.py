# SPDX-License-Identifier: GPL-3.0-or-later
"""The material that shows a run on the mesh: one float image a map, found again by the names of its nodes.

It is never removed while Blender runs, but used again: an undo step that was made while it was on the mesh refers to
it, and Blender 4.2 crashes at times on going back there when it was removed. Without users it gets into no file.
"""

from __future__ import annotations

from collections.abc import Iterator

import bpy

from ..model.maps import COLOR_MAPS, MAPS, PREVIEWED
from ..model.preview_frames import AtlasPlace, PreviewFrame

__all__ = ["MASK_MATERIAL", "MATERIAL_NAME", "preview_material", "release", "remove_unused", "show_frame"]

MATERIAL_NAME = "PGC Preview"
MASK_MATERIAL = "PGC Mask"
"""Of `mask_display`."""
_NODE = "pgc {}"


def preview_material(uv_map: str) -> bpy.types.Material:
    """Returns a material that no object uses, with its pictures black; `show_frame` fills them as they come."""
    material = next(_unused(), None)
    if material is None:
        return _new_material(uv_map)
    for node in material.node_tree.nodes:
        if node.bl_idname in ("ShaderNodeUVMap", "ShaderNodeNormalMap"):
            node.uv_map = uv_map
        if node.bl_idname == "ShaderNodeTexImage":
            # Of another job; its map may not come this time.
            for link in list(node.outputs["Color"].links):
                material.node_tree.links.remove(link)
    return material


def _unused() -> Iterator[bpy.types.Material]:
    for material in bpy.data.materials:
        if material.name.startswith(MATERIAL_NAME) and material.users == 0 and material.library is None:
            yield material


def _new_material(uv_map: str) -> bpy.types.Material:
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
    """Puts a frame's pixels into its map's image: one `foreach_set`, no undo step. Unknown maps are passed over."""
    if frame.map not in PREVIEWED:
        return
    node = material.node_tree.nodes.get(_NODE.format(frame.map)) or _add_map(material, frame.map)
    if not node.outputs["Color"].links:
        _connect(material, node, frame.map)
    image = node.image
    if image is None:
        image = node.image = _image_for(frame)
    if tuple(image.size) != (frame.width, frame.height):
        image.scale(frame.width, frame.height)
    _place(material, frame.place)
    image.pixels.foreach_set(frame.rgba)
    image.update()


def release(material: bpy.types.Material) -> None:
    """Takes the pictures off a material that nothing shows any more: they lose their user too, so that no file gets
    them.
    """
    if material.users == 0:
        for node in material.node_tree.nodes:
            if node.bl_idname == "ShaderNodeTexImage":
                node.image = None


def remove_unused() -> None:
    """Removes all that no object uses, with its pictures, at the end of the extension."""
    for material in list(_unused()):
        release(material)
        bpy.data.materials.remove(material)
    for material in [one for one in bpy.data.materials if one.name.startswith(MASK_MATERIAL) and one.users == 0]:
        bpy.data.materials.remove(material)
    for image in [image for image in bpy.data.images if image.name.startswith(MATERIAL_NAME) and image.users == 0]:
        bpy.data.images.remove(image)


def _image_for(frame: PreviewFrame) -> bpy.types.Image:
    name = f"{MATERIAL_NAME} {frame.map}"
    unused = (image for image in bpy.data.images if image.name.startswith(name) and image.users == 0)
    return next(unused, None) or _new_image(name, frame)


def _new_image(name: str, frame: PreviewFrame) -> bpy.types.Image:
    # Float, so that `foreach_set` is a copy; linear values, so that no colour space has to be chosen.
    is_data = frame.map not in COLOR_MAPS
    return bpy.data.images.new(name, frame.width, frame.height, alpha=False, float_buffer=True, is_data=is_data)


def _place(material: bpy.types.Material, place: AtlasPlace) -> None:
    """Where UDIM tiles lie in the picture."""
    mapping = material.node_tree.nodes[_NODE.format("mapping")]
    mapping.inputs["Location"].default_value = (-place.u / place.columns, -place.v / place.rows, 0.0)
    mapping.inputs["Scale"].default_value = (1.0 / place.columns, 1.0 / place.rows, 1.0)


def _add_map(material: bpy.types.Material, name: str) -> bpy.types.Node:
    tree = material.node_tree
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.name = _NODE.format(name)
    texture.location = (-600, -300 * PREVIEWED.index(name))
    tree.links.new(tree.nodes[_NODE.format("mapping")].outputs["Vector"], texture.inputs["Vector"])
    return texture


def _connect(material: bpy.types.Material, texture: bpy.types.Node, name: str) -> None:
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    color = texture.outputs["Color"]
    if name == "normal":
        bump = next((node for node in tree.nodes if node.bl_idname == "ShaderNodeNormalMap"), None)
        bump = bump or tree.nodes.new("ShaderNodeNormalMap")
        bump.uv_map = next(node.uv_map for node in tree.nodes if node.bl_idname == "ShaderNodeUVMap")
        tree.links.new(color, bump.inputs["Color"])
        color = bump.outputs["Normal"]
    identifier = MAPS[name].socket or "Normal"
    tree.links.new(color, next(socket for socket in shader.inputs if socket.identifier == identifier))
