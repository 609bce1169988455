# SPDX-License-Identifier: Apache-2.0
"""Scenes as artists have them, for the promise that nothing else changes."""

from collections.abc import Callable
from typing import Any

import bpy
import numpy as np
from probes import _clear, _cube, _plane, _png, _ramp, add_version, digest

from blender_addon.scene.errors import SceneError
from blender_addon.scene.meshes.export import ExportOptions


def promises() -> Any:
    """Apply and restore in awkward scenes: is everything as before, and what was refused?"""
    results: dict[str, Any] = {}
    for name, make in AWKWARD.items():
        _clear()
        bpy.ops.preferences.addon_enable(module="blender_addon")
        from blender_addon.scene.versions.builder import VersionFacts
        from blender_addon.scene.versions.showing import is_shown, restore_original

        obj, options = make()
        bpy.context.view_layer.update()
        maps = {"base_color": (_png(_ramp(16)), "srgb")}
        others = [other for other in bpy.data.objects if other.type == "MESH" and other != obj]
        before, before_others = digest(obj), [digest(other) for other in others]
        try:
            add_version(obj, maps, VersionFacts(prompt="Made"), options)
        except SceneError as error:
            results[name] = {"refused": error.text, "same": before == digest(obj), "kept": len(obj.pgc.versions)}
            continue
        shown = is_shown(obj, obj.pgc.versions[0])
        others_same = before_others == [digest(other) for other in others]
        restore_original(obj)
        results[name] = {"shown": shown, "others": others_same, "same": before == digest(obj)}
    return results


def _with_slots(target: str, slot: int = 0) -> Any:
    obj = _cube()
    for name in ("A", "B"):
        obj.data.materials.append(bpy.data.materials.new(name))
    for index, polygon in enumerate(obj.data.polygons):
        polygon.material_index, polygon.select = index % 2, index < 2
    return obj, ExportOptions(target=target, slot=slot)


def _shared() -> Any:
    obj, options = _with_slots("object")
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("Twin", obj.data))
    return obj, options


def _shared_faces() -> Any:
    obj, _ = _shared()
    return obj, ExportOptions(target="selected_faces")


def _object_link() -> Any:
    obj, options = _with_slots("object")
    obj.material_slots[0].link = "OBJECT"
    obj.material_slots[0].material = bpy.data.materials.new("Mine")
    return obj, options


def _mirrored() -> Any:
    obj, options = _with_slots("slot", 1)
    obj.scale = (-1, 2, 1)
    bpy.context.view_layer.update()
    return obj, options


def _keys() -> Any:
    obj, options = _with_slots("object")
    obj.shape_key_add(name="Basis")
    obj.shape_key_add(name="Key").value = 0.5
    return obj, options


def _hidden() -> Any:
    obj, options = _with_slots("object")
    obj.hide_set(True)
    return obj, options


AWKWARD = {
    "no slots": lambda: (_plane(), ExportOptions()),
    "no slots, faces": lambda: (_plane(), ExportOptions(target="selected_faces")),
    "two slots": lambda: _with_slots("object"),
    "one of two slots": lambda: _with_slots("slot", 1),
    "selected faces": lambda: _with_slots("selected_faces"),
    "shared mesh": _shared,
    "shared mesh, faces": _shared_faces,
    "slot on the object": _object_link,
    "negative scale": _mirrored,
    "shape keys": _keys,
    "hidden": _hidden,
    "two UV maps": lambda: _two_maps(),
    "overlapping UVs": lambda: _with_uvs(lambda uvs: np.tile(uvs[:4], (6, 1))),
    "UVs out of range": lambda: _with_uvs(lambda uvs: uvs * 3.0 - 1.0),
    "mirrored UVs": lambda: _with_uvs(lambda uvs: uvs * (-1.0, 1.0) + (1.0, 0.0)),
    "UDIM": lambda: _with_uvs(lambda uvs: uvs + np.repeat([[0, 0], [1, 0]], 12, axis=0)),
    "n-gons": lambda: _n_gons(),
    "modifiers": lambda: _modifiers(),
    "names not in ASCII": lambda: _strange_names(),
    "empty slots": lambda: _empty_slots(),
    "one material everywhere": lambda: _one_material(),
    "child of a scaled parent": lambda: _child(),
    "animated": lambda: _animated(),
    "groups and attributes": lambda: _attributes(),
    "flat as paper": lambda: _flat(),
    "Sculpt Mode": lambda: _in_mode("SCULPT"),
    "Edit Mode": lambda: _in_mode("EDIT"),
}


def _two_maps() -> Any:
    obj = _plane()
    obj.data.uv_layers.new(name="Second")
    obj.data.uv_layers.active_index = 1
    return obj, ExportOptions(uv_map="Artist")


def _with_uvs(change: Callable[[np.ndarray], np.ndarray]) -> Any:
    obj, options = _with_slots("object")
    layer = obj.data.uv_layers.active
    uvs = np.empty(2 * len(obj.data.loops), np.float32)
    layer.uv.foreach_get("vector", uvs)
    layer.uv.foreach_set("vector", np.asarray(change(uvs.reshape(-1, 2)), np.float32).ravel())
    return obj, options


def _n_gons() -> Any:
    bpy.ops.mesh.primitive_cylinder_add(vertices=12)
    return bpy.context.object, ExportOptions()


def _modifiers() -> Any:
    obj, options = _with_slots("slot", 1)
    obj.modifiers.new("Smooth", "SUBSURF").levels = 1
    obj.modifiers.new("Twice", "ARRAY").count = 2
    obj.modifiers.new("Mirror", "MIRROR")
    return obj, options


def _strange_names() -> Any:
    obj, options = _with_slots("object")
    obj.name, obj.data.name, obj.data.materials[0].name = "Чайник 茶壺 é", "Сетка", "ß 材料"
    obj.data.uv_layers[0].name = "UV é 茶"
    return obj, options


def _empty_slots() -> Any:
    obj, options = _with_slots("object")
    obj.data.materials[0] = None
    obj.data.materials.append(None)
    return obj, options


def _one_material() -> Any:
    obj, options = _with_slots("slot", 1)
    obj.data.materials[1] = obj.data.materials[0]
    other = _cube("Other")
    other.data.materials.append(obj.data.materials[0])
    return obj, options


def _child() -> Any:
    obj, options = _with_slots("object")
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.scene.collection.objects.link(parent)
    parent.scale, parent.rotation_euler = (1.0, 3.0, 0.5), (0.3, 0.2, 0.1)
    obj.parent, obj.rotation_euler = parent, (0.5, 0.0, 0.7)
    return obj, options


def _animated() -> Any:
    obj, options = _with_slots("object")
    for frame, height in ((1, 0.0), (20, 2.0)):
        obj.location.z = height
        obj.keyframe_insert("location", frame=frame)
    bpy.context.scene.frame_set(7)
    return obj, options


def _attributes() -> Any:
    obj, options = _with_slots("selected_faces")
    obj.vertex_groups.new(name="Group").add([0, 1, 2], 0.5, "REPLACE")
    obj.data.attributes.new("mine", "FLOAT", "FACE")
    obj.data.color_attributes.new("Color", "BYTE_COLOR", "CORNER")
    for edge in obj.data.edges[:4]:
        edge.use_seam = True
    obj["artist"] = 7
    return obj, options


def _flat() -> Any:
    obj, options = _with_slots("object")
    obj.scale.z = 0.0
    return obj, options


def _in_mode(mode: str) -> Any:
    obj, options = _with_slots("object")
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode=mode)
    # What is read of the mesh is as of now, not as of the next flush.
    obj.update_from_editmode()
    return obj, options
