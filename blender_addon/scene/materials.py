# SPDX-License-Identifier: GPL-3.0-or-later
"""A Principled material for the maps, put where the artist asked and nowhere else; and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import bpy
import numpy as np

from .errors import SceneError
from .face_sets import unpack_faces
from .mesh_export import ExportOptions

__all__ = ["PreviousMaterials", "apply_version", "build_material", "restore_previous"]


@dataclass(frozen=True)
class PreviousMaterials:
    """What an object had before.

    Args:
        slots: (link, material's name or None) of each slot, in order.
        polygon_materials: slot index of each polygon where faces were moved to another slot; else None.
    """

    slots: tuple[tuple[str, str | None], ...]
    polygon_materials: tuple[int, ...] | None = None


def build_material(name: str, images: Mapping[str, bpy.types.Image], uv_map: str) -> bpy.types.Material:
    """A new material.

    Args:
        images: by map: base_color, roughness, metallic, normal, or orm (occlusion, roughness, metallic in R, G, B).
        uv_map: the UV map that the maps were made for, whichever is active.
    """
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = next(node for node in nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    uv = nodes.new("ShaderNodeUVMap")
    uv.uv_map = uv_map
    uv.location = (-1000, 0)
    for row, (map_name, image) in enumerate(images.items()):
        texture = nodes.new("ShaderNodeTexImage")
        texture.image = image
        texture.label = map_name
        texture.location = (-700, 300 - 300 * row)
        links.new(uv.outputs["UV"], texture.inputs["Vector"])
        _connect(material.node_tree, map_name, texture, shader, uv_map)
    return material


def _connect(
    tree: bpy.types.NodeTree,
    map_name: str,
    texture: bpy.types.Node,
    shader: bpy.types.Node,
    uv_map: str,
) -> None:
    color = texture.outputs["Color"]
    match map_name:
        case "base_color":
            tree.links.new(color, _socket(shader, "Base Color"))
        case "roughness" | "metallic":
            tree.links.new(color, _socket(shader, map_name.capitalize()))
        case "orm":
            split = tree.nodes.new("ShaderNodeSeparateColor")
            split.location = (texture.location.x + 350, texture.location.y)
            tree.links.new(color, split.inputs["Color"])
            tree.links.new(split.outputs["Green"], _socket(shader, "Roughness"))
            tree.links.new(split.outputs["Blue"], _socket(shader, "Metallic"))
        case "normal":
            bump = tree.nodes.new("ShaderNodeNormalMap")
            bump.uv_map = uv_map
            bump.location = (texture.location.x + 350, texture.location.y)
            tree.links.new(color, bump.inputs["Color"])
            tree.links.new(bump.outputs["Normal"], _socket(shader, "Normal"))
        case _:
            raise SceneError(f"The map {map_name!r} has no place in a material; update the add-on.")


def _socket(node: bpy.types.Node, identifier: str) -> bpy.types.NodeSocket:
    """By identifier: names are translated and have changed between versions."""
    return next(socket for socket in node.inputs if socket.identifier == identifier)


def apply_version(obj: bpy.types.Object, material: bpy.types.Material, options: ExportOptions) -> PreviousMaterials:
    """Show a material on what was textured; returns what was there.

    The whole object: every slot gets it, so that no face changes its slot. A slot: that one. Selected faces: they move
    to a new slot. A mesh that several objects share is not touched: its slots are overridden on this object alone.

    Raises:
        SceneError: selected faces of a mesh that is shared or linked from another file.
    """
    slots = tuple((slot.link, slot.material.name if slot.material else None) for slot in obj.material_slots)
    if options.target == "selected_faces":
        return _to_new_slot(obj, material, slots, options.faces)
    if not obj.material_slots:
        _check_editable(obj, "a material slot must be added to it")
        obj.data.materials.append(None)
    indices = [options.slot] if options.target == "slot" else range(len(obj.material_slots))
    for index in indices:
        slot = obj.material_slots[index]
        if obj.data.users > 1 or obj.data.library is not None:
            slot.link = "OBJECT"
        slot.material = material
    return PreviousMaterials(slots)


def _to_new_slot(
    obj: bpy.types.Object, material: bpy.types.Material, slots: tuple[tuple[str, str | None], ...], faces: str
) -> PreviousMaterials:
    _check_editable(obj, "faces of it would change")
    mesh = obj.data
    before = np.empty(len(mesh.polygons), dtype=np.int32)
    mesh.polygons.foreach_get("material_index", before)
    if faces:
        selected = unpack_faces(faces, len(mesh.polygons))
    else:
        selected = np.empty(len(mesh.polygons), dtype=np.bool_)
        mesh.polygons.foreach_get("select", selected)
    if not obj.material_slots:
        # Faces that are not selected keep showing no material.
        mesh.materials.append(None)
    mesh.materials.append(material)
    after = np.where(selected, len(mesh.materials) - 1, before).astype(np.int32)
    mesh.polygons.foreach_set("material_index", after)
    mesh.update()
    return PreviousMaterials(slots, tuple(int(value) for value in before))


def _check_editable(obj: bpy.types.Object, why: str) -> None:
    if obj.data.library is not None:
        raise SceneError(f"The mesh of {obj.name} is linked from another file, and {why}; make it local first.")
    if obj.data.users > 1:
        raise SceneError(f"The mesh of {obj.name} is shared with other objects, and {why}; make it single-user first.")


def restore_previous(obj: bpy.types.Object, previous: PreviousMaterials) -> None:
    """Put back what `apply_version` found: slots, their links, their materials, and the faces' slots."""
    if previous.polygon_materials is not None and len(previous.polygon_materials) == len(obj.data.polygons):
        obj.data.polygons.foreach_set("material_index", np.array(previous.polygon_materials, dtype=np.int32))
        obj.data.update()
    if len(obj.data.materials) > len(previous.slots):
        while len(obj.data.materials) > len(previous.slots):
            obj.data.materials.pop()
        # The object keeps a slot for what the mesh no longer has, until its mesh is set.
        obj.data = obj.data
    for slot, (link, name) in zip(obj.material_slots, previous.slots, strict=False):
        material = bpy.data.materials.get(name) if name is not None else None
        if slot.link != link:
            # The override goes, and what the mesh itself holds shows again.
            slot.material = None
            slot.link = link
        if slot.material != material:
            slot.material = material
