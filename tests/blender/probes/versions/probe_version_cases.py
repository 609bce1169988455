# SPDX-License-Identifier: Apache-2.0
"""What the probes of versions share: objects with versions, and what is to be seen of them."""

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import bpy
import numpy as np
from probe_session import disable, enable
from probes import _plane, _png, _ramp, add_version, digest

LINEAR = {"orm": "linear", "normal": "linear", "roughness": "linear", "metallic": "linear", "occlusion": "linear"}


def ends_cleanly(probe: Callable[..., Any]) -> Callable[..., Any]:
    """Blender 4.2 dies at its exit where an add-on's timer is left."""

    @functools.wraps(probe)
    def run(**given: Any) -> Any:
        try:
            return probe(**given)
        finally:
            disable()

    return run


def _pixels(index: int, size: int = 32) -> np.ndarray:
    """uint8 [S, S, 3]: no two indices alike, not symmetric."""
    pixels = _ramp(size)
    pixels[..., 2] = (40 * index + np.arange(size)[:, None]) % 256
    return pixels


def _add(
    obj: bpy.types.Object, index: int, *, maps: tuple[str, ...] = ("base_color", "orm", "normal"), **where: Any
) -> int:
    """A version number `index`, put where `ExportOptions(**where)` says."""
    from blender_addon.scene.meshes.export import ExportOptions
    from blender_addon.scene.versions.builder import VersionFacts

    images = {name: (_png(_pixels(index * 8 + row)), LINEAR.get(name, "srgb")) for row, name in enumerate(maps)}
    facts = VersionFacts(prompt=f"prompt {index}", negative="blurry", seed=100 + index, job=f"job{index}")
    return add_version(obj, images, facts, ExportOptions(**where))


def image_hash(image: bpy.types.Image) -> str:
    """Of the pixels as they are stored."""
    values = np.empty(image.size[0] * image.size[1] * image.channels, np.float32)
    image.pixels.foreach_get(values)
    return hashlib.sha256(
        np.round(values * 255).astype(np.uint8).tobytes() + repr(tuple(image.size)).encode()
    ).hexdigest()


def hashes(obj: bpy.types.Object) -> list[dict[str, str]]:
    """Of every map of every version."""
    return [{entry.name: image_hash(entry.image) for entry in version.maps} for version in obj.pgc.versions]


def expected(*indices: int, maps: tuple[str, ...] = ("base_color", "orm", "normal")) -> list[dict[str, str]]:
    """What `hashes` gives for versions that `_add` made, from the very numbers."""
    found = []
    for index in indices:
        digests = {}
        for row, name in enumerate(maps):
            pixels = _pixels(index * 8 + row)[::-1]
            rgba = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], -1)
            digests[name] = hashlib.sha256(np.ascontiguousarray(rgba).tobytes() + repr((32, 32)).encode()).hexdigest()
        found.append(digests)
    return found


def shown(obj: bpy.types.Object) -> list[str]:
    """Hash of the base colour of each slot's material, or its name where it has none."""
    found = []
    for slot in obj.material_slots:
        tree = slot.material.node_tree if slot.material is not None else None
        nodes = [node for node in tree.nodes if node.bl_idname == "ShaderNodeTexImage"] if tree is not None else []
        colors = [node.image for node in nodes if node.label == "base_color"]
        found.append(image_hash(colors[0]) if colors else (slot.material.name if slot.material is not None else ""))
    return found


def scene_digest() -> str:
    """Everything that an artist did not ask to change: objects, selection, mode, names, materials, render settings."""
    scene = bpy.context.scene
    parts: list[object] = [digest(obj) for obj in bpy.data.objects if obj.type == "MESH"]
    parts += [sorted(obj.name for obj in bpy.context.selected_objects), str(bpy.context.mode)]
    parts.append(bpy.context.view_layer.objects.active.name if bpy.context.view_layer.objects.active else "")
    for owner in (scene.render, scene.view_settings, scene.render.image_settings):
        parts.append(
            [
                (item.identifier, str(getattr(owner, item.identifier)))
                for item in owner.bl_rna.properties
                if item.type in {"BOOLEAN", "INT", "FLOAT", "ENUM", "STRING"} and not getattr(item, "is_array", False)
            ]
        )
    parts.append((scene.frame_current, scene.camera.name if scene.camera else ""))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _start(make: Callable[[], Any] = lambda: (_plane(), None)) -> bpy.types.Object:
    enable()
    obj = make()[0]
    bpy.context.view_layer.objects.active = obj
    bpy.context.view_layer.update()
    bpy.ops.ed.undo_push(message="start")
    return obj


def _color(index: int) -> str:
    return expected(index)[0]["base_color"]


def _by_face(obj: bpy.types.Object) -> list[str]:
    slots = shown(obj)
    return [slots[polygon.material_index] for polygon in obj.data.polygons]


def _faces(names: list[str], covered: dict[int, str], indices: list[int], *, bare: bool = False) -> list[str]:
    """What each face shows: version 1 on slot 1 unless `bare`, and the covered ones."""
    slots = [names[0], names[1] if bare else _color(1)]
    return [covered.get(face, slots[index]) for face, index in enumerate(indices)]


def _error(action: Callable[[], Any]) -> Any:
    """What a SceneError or an operator says, with the operator that mends it; None where nothing went wrong."""
    from blender_addon.scene.errors import SceneError

    try:
        action()
    except SceneError as error:
        return [error.text, error.fix]
    except RuntimeError as error:
        return [str(error), None]
    return None
