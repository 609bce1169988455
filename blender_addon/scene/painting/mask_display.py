# SPDX-License-Identifier: GPL-3.0-or-later
"""The mask on the mesh while it is painted: its white is orange where that stays, blue where that changes. Put on and
taken off as previews are."""

from __future__ import annotations

import bpy

from ..live_preview import begin_preview, end_preview, has_preview
from ..meshes.export import ExportOptions
from ..ownership import has_own_mesh
from ..preview_material import MASK_MATERIAL
from .keep_mask import kept_picture

__all__ = ["MASK_KEY", "follow_painting", "is_painting", "show_mask"]

MASK_KEY = "mask"
"""In the place of a job's key."""
_TINTS = {"KEEP": (1.0, 0.35, 0.02, 1.0), "CHANGE": (0.02, 0.35, 1.0, 1.0)}
_STRENGTH = 0.65


def is_painting(obj: bpy.types.Object) -> bool:
    """Says whether the object's mask is being painted: by Paint Mask, and not left in another way since."""
    return obj.mode == "TEXTURE_PAINT" and bool(obj.pgc.paint_before.mode) and obj.pgc.keep_mask is not None


def show_mask(obj: bpy.types.Object) -> None:
    """Puts the mask on the object, where that changes no mesh that others share."""
    uv_map = obj.data.uv_layers.active
    if uv_map is None or (not obj.material_slots and not has_own_mesh(obj)):
        return
    begin_preview(obj, MASK_KEY, ExportOptions(uv_map=uv_map.name), _material(obj, uv_map.name))


def follow_painting(obj: bpy.types.Object | None) -> None:
    """Shows the mask of the active object while it is painted, and takes it off when that has ended in whatever way;
    called at each turn.
    """
    if obj is None or obj.type != "MESH":
        return
    if is_painting(obj):
        if not obj.pgc.job.preview.key and obj.is_editable:
            show_mask(obj)
        elif has_preview(obj, MASK_KEY):
            _follow_mask(obj)
        return
    if has_preview(obj, MASK_KEY):
        end_preview(obj)
    if obj.pgc.paint_before.mode and obj.is_editable:
        # The mode was left with the Tab key: who enters it anew paints as ever.
        obj.pgc.paint_before.mode, obj.pgc.paint_before.canvas = "", None


def _follow_mask(obj: bpy.types.Object) -> None:
    """Shows another mask, or the other reading of it, since either was chosen while the mask is on the object."""
    tint = _TINTS[obj.pgc.mask_reading]
    for slot in obj.material_slots:
        if slot.material is None or not slot.material.name.startswith(MASK_MATERIAL):
            continue
        nodes = slot.material.node_tree.nodes
        socket = next(socket for node in nodes for socket in node.inputs if socket.identifier == "B_Color")
        if max(abs(a - b) for a, b in zip(socket.default_value, tint, strict=True)) > 1e-3:
            socket.default_value = tint
        if nodes.active is not None and nodes.active.image != obj.pgc.keep_mask:
            nodes.active.image = obj.pgc.keep_mask


def _material(obj: bpy.types.Object, uv_map: str) -> bpy.types.Material:
    """One that no object uses, with the object's picture and mask. As previews' it is used again, never removed."""
    picture = kept_picture(obj)
    unused = (one for one in bpy.data.materials if one.name.startswith(MASK_MATERIAL) and one.users == 0)
    material = next(unused, None) or bpy.data.materials.new(MASK_MATERIAL)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    output, shader = tree.nodes.new("ShaderNodeOutputMaterial"), tree.nodes.new("ShaderNodeBsdfPrincipled")
    uv, mix = tree.nodes.new("ShaderNodeUVMap"), tree.nodes.new("ShaderNodeMix")
    uv.uv_map, mix.data_type = uv_map, "RGBA"
    sockets = {socket.identifier: socket for socket in mix.inputs}
    sockets["A_Color"].default_value, sockets["B_Color"].default_value = (
        (0.8, 0.8, 0.8, 1.0),
        _TINTS[obj.pgc.mask_reading],
    )
    strength = tree.nodes.new("ShaderNodeMath")
    strength.operation = "MULTIPLY"
    strength.inputs[1].default_value = _STRENGTH
    for image, socket in ((picture, sockets["A_Color"]), (obj.pgc.keep_mask, strength.inputs[0])):
        if image is not None:
            texture = tree.nodes.new("ShaderNodeTexImage")
            texture.image = image
            tree.links.new(uv.outputs["UV"], texture.inputs["Vector"])
            tree.links.new(texture.outputs["Color"], socket)
            # The last is the mask: what Texture Paint takes where it looks for an image by itself.
            tree.nodes.active = texture
    tree.links.new(strength.outputs[0], sockets["Factor_Float"])
    result = next(socket for socket in mix.outputs if socket.identifier == "Result_Color")
    tree.links.new(result, shader.inputs["Base Color"])
    tree.links.new(shader.outputs[0], output.inputs["Surface"])
    return material
