# SPDX-License-Identifier: Apache-2.0
"""What Blender finds in the files that `pgc` exports."""

import atexit
import hashlib
import os
from pathlib import Path
from typing import Any

import bpy
import numpy as np


def read_blend(path: str, folder: str) -> dict[str, Any]:
    """Opens a .blend; mesh arrays go to folder/mesh.npz."""
    bpy.ops.wm.open_mainfile(filepath=path)
    (obj,) = bpy.data.objects
    return {**_facts(obj, folder), "objects": len(bpy.data.objects), "scenes": len(bpy.data.scenes)}


def import_glb(path: str, folder: str, again: str) -> dict[str, Any]:
    """Imports a GLB into an empty file, and exports it again to `again`."""
    # Pip's bpy 4.2 dies at its exit after its own glTF exporter has run.
    atexit.register(os._exit, 0)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module="io_scene_gltf2")
    bpy.ops.import_scene.gltf(filepath=path)
    (obj,) = [item for item in bpy.data.objects if item.type == "MESH"]
    facts = _facts(obj, folder)
    bpy.ops.export_scene.gltf(filepath=again, export_format="GLB", export_tangents=True)
    return facts


def import_obj(path: str, folder: str) -> dict[str, Any]:
    """Imports an OBJ into an empty file."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.obj_import(filepath=path)
    (obj,) = [item for item in bpy.data.objects if item.type == "MESH"]
    return _facts(obj, folder)


def _facts(obj: bpy.types.Object, folder: str) -> dict[str, Any]:
    mesh = obj.data
    np.savez(
        Path(folder) / "mesh.npz",
        positions=_read(mesh.vertices, "co", 3),
        location=np.array(obj.location),
        sizes=_read(mesh.polygons, "loop_total", 1, np.int32).reshape(-1),
        corners=_read(mesh.loops, "vertex_index", 1, np.int32).reshape(-1),
        uvs=_read(mesh.uv_layers.active.uv, "vector", 2),
        **{f"uvs_{number}": _read(layer.uv, "vector", 2) for number, layer in enumerate(mesh.uv_layers)},
        **{f"colors_{number}": _read(colors.data, "color", 4) for number, colors in enumerate(mesh.color_attributes)},
        normals=_read(mesh.corner_normals, "vector", 3),
        material_index=_read(mesh.polygons, "material_index", 1, np.int32).reshape(-1),
    )
    slots = [slot.material for slot in obj.material_slots]
    layers = [layer.name for layer in mesh.uv_layers]
    return {
        "layers": layers,
        "textured": _textured(mesh, slots),
        "slots": [material.name for material in slots],
        "maps": [_maps(material, folder) for material in slots],
    }


def _textured(mesh: bpy.types.Mesh, materials: list[bpy.types.Material]) -> str:
    """The UV map that is active, rendered, and named by the materials; "" where these are several."""
    nodes = [node for material in materials for node in material.node_tree.nodes]
    names = {node.uv_map for node in nodes if node.bl_idname in ("ShaderNodeUVMap", "ShaderNodeNormalMap")}
    names |= {layer.name for layer in mesh.uv_layers if layer.active_render} | {mesh.uv_layers.active.name}
    return "" if len(names) > 1 else names.pop()


def _read(items: Any, name: str, width: int, kind: type = np.float32) -> np.ndarray:
    values = np.empty(len(items) * width, kind)
    items.foreach_get(name, values)
    return values.reshape(-1, width)


def _maps(material: bpy.types.Material, folder: str) -> dict[str, Any]:
    """By socket of the Principled shader: from which image and channel it comes; pixels go to folder/HASH.npy."""
    shader = next(node for node in material.node_tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    found = {}
    for name in ("Base Color", "Roughness", "Metallic", "Normal"):
        socket = next(item for item in shader.inputs if item.identifier == name)
        if socket.is_linked:
            found[name] = _source(socket.links[0], folder)
    for node in material.node_tree.nodes:
        if node.bl_idname == "ShaderNodeGroup" and node.inputs and node.inputs[0].is_linked:
            found["Occlusion"] = _source(node.inputs[0].links[0], folder)
    return found


def _source(link: bpy.types.NodeLink, folder: str) -> dict[str, Any]:
    """The image behind a link, through Separate Color and Normal Map nodes."""
    node, channel = link.from_node, "all"
    while node.bl_idname != "ShaderNodeTexImage":
        if node.bl_idname == "ShaderNodeSeparateColor":
            channel = link.from_socket.identifier
        entry = next(item for item in node.inputs if item.name == "Color" and item.is_linked)
        link = entry.links[0]
        node = link.from_node
    image = node.image
    packed = {item.tile_number if image.source == "TILED" else 1001: item.packed_file for item in image.packed_files}
    hashes = {tile: hashlib.sha256(file.data).hexdigest() for tile, file in packed.items() if file is not None}
    if image.source != "TILED":
        width, height = image.size
        pixels = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(pixels)
        np.save(Path(folder) / f"{image.session_uid}.npy", pixels.reshape(height, width, 4)[::-1])
    return {
        "channel": channel,
        "packed": hashes,
        "space": image.colorspace_settings.name,
        "pixels": f"{image.session_uid}.npy",
        "file": Path(image.filepath).name,
    }
