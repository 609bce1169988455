# SPDX-License-Identifier: Apache-2.0
"""What the tests do inside Blender. Each function gets and returns plain JSON values.

python probes.py NAME ARGUMENTS-AS-JSON ANSWER-FILE
"""

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from blender_addon.scene.camera_rig import camera_spec
from blender_addon.scene.errors import SceneError
from blender_addon.scene.meshes.export import ExportOptions, export_mesh, mesh_spec
from blender_addon.scene.pictures.images import new_packed_image
from blender_addon.scene.pictures.materials import build_material


def _clear() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


def _plane(name: str = "Plane", *, uv: bool = True) -> bpy.types.Object:
    """A 2 x 2 quad in XY; its UVs are u = (x + 1) / 2, v = (y + 1) / 2."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)], [], [(0, 1, 2, 3)])
    if uv:
        layer = mesh.uv_layers.new(name="Artist")
        layer.uv.foreach_set("vector", [0, 0, 1, 0, 1, 1, 0, 1])
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(obj)
    return obj


def _cube(name: str = "Cube") -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add()
    obj = bpy.context.object
    obj.name = name
    return obj


def _export(obj: bpy.types.Object, **options: Any) -> Any:
    bpy.context.view_layer.update()
    return export_mesh(obj, bpy.context.evaluated_depsgraph_get(), ExportOptions(**options))


def _png(pixels: np.ndarray) -> bytes:
    """Bytes of an RGB PNG, row 0 at the top; written by the standard library alone."""
    import struct
    import zlib

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    out = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    out.seek(0, io.SEEK_END)
    out.write(chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)))
    out.write(chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return out.getvalue()


def _ramp(size: int = 64) -> np.ndarray:
    """uint8 [S, S, 3]: red grows with u, green with v (row 0 is v = 1), blue is constant."""
    t = (np.arange(size) + 0.5) / size
    u, v = np.meshgrid(t, t[::-1])
    return np.round(np.stack([u, v * 0.5, np.full_like(u, 0.25)], -1) * 255).astype(np.uint8)


def add_version(obj: bpy.types.Object, maps: Any, facts: Any, options: Any) -> int:
    """A new version from PNG bytes and colour space of each map, all at once; its index."""
    from blender_addon.scene.versions.builder import VersionBuilder

    builder = VersionBuilder(obj, facts, options)
    for name, (png, color_space) in maps.items():
        builder.add_map(name, png, color_space)
    return builder.finish(obj)


def digest(obj: bpy.types.Object) -> str:
    """Hash of geometry, UVs, slots, slots of faces, names, selection and transform."""
    mesh = obj.data
    parts: list[object] = [obj.name, mesh.name, obj.select_get(), obj.mode, [list(row) for row in obj.matrix_world]]
    parts.append([(slot.link, slot.material.name if slot.material else None) for slot in obj.material_slots])
    parts.append([list(vertex.co) for vertex in mesh.vertices])
    parts.append([(list(polygon.vertices), polygon.material_index, polygon.select) for polygon in mesh.polygons])
    parts.append([(layer.name, [list(item.vector) for item in layer.uv]) for layer in mesh.uv_layers])
    parts.append(mesh.uv_layers.active_index)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def export_facts(scale: float) -> Any:
    """A quad, scaled by (scale, 1, 1): do normals, winding and UVs agree?"""
    _clear()
    obj = _plane()
    obj.scale = (scale, 1, 1)
    bpy.context.view_layer.update()
    before = digest(obj)
    mesh = _export(obj)
    corners = mesh.positions[mesh.faces]
    geometric = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    uv = np.stack([corners[..., 0] / scale, corners[..., 1]], -1) * 0.5 + 0.5
    spec, arrays = mesh_spec(mesh)
    return {
        "agree": bool((geometric[:, 2] * mesh.corner_normals[:, 0, 2] > 0).all()),
        "uv_error": float(np.abs(uv - mesh.corner_uvs).max()),
        "faces": len(mesh.faces),
        "polygons": mesh.polygon_index.tolist(),
        "untouched": before == digest(obj),
        "refs": len(spec.arrays()) == len(arrays) or len(spec.arrays()),
        "meshes": len(bpy.data.meshes),
    }


def export_modifiers() -> Any:
    """Modifiers count; targets choose faces; the scene stays as it was."""
    _clear()
    obj = _cube()
    for name in ("A", "B"):
        obj.data.materials.append(bpy.data.materials.new(name))
    obj.data.polygons[2].material_index = 1
    obj.modifiers.new("Subdivision", "SUBSURF").levels = 1
    for index, polygon in enumerate(obj.data.polygons):
        polygon.select = index == 0
    before = digest(obj)
    whole, slot = _export(obj), _export(obj, target="slot", slot=1)
    chosen = _export(obj, target="selected_faces")
    assert slot.textured is not None
    assert chosen.textured is not None
    return {
        "triangles": len(whole.faces),
        "slot": int(slot.textured.sum()),
        "selected": int(chosen.textured.sum()),
        "untouched": before == digest(obj),
    }


def refusals() -> Any:
    """What cannot be exported, and the sentence for it."""
    _clear()
    bare, light = _plane("Bare", uv=False), bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
    empty = bpy.data.objects.new("Empty", bpy.data.meshes.new("Empty"))
    plane = _plane()
    for obj in (light, empty):
        bpy.context.scene.collection.objects.link(obj)
    found = {}
    cases = {"bare": (bare, {}), "light": (light, {}), "empty": (empty, {}), "map": (plane, {"uv_map": "None"})}
    cases |= {"slot": (plane, {"target": "slot", "slot": 3})}
    for name, (obj, options) in cases.items():
        try:
            _export(obj, **options)
        except SceneError as error:
            found[name] = [error.text, error.fix]
    return found


def apply_and_render(plant: str) -> Any:
    """A ramp on the plane, seen from above in even white light by Cycles; `plant`: a mistake on purpose."""
    _clear()
    obj = _plane()
    other = obj.data.uv_layers.new(name="Other")
    other.uv.foreach_set("vector", [1, 1, 0, 1, 0, 0, 1, 0])
    pixels = _ramp()
    color_space = "linear" if plant == "colour space" else "srgb"
    image = new_packed_image("ramp", _png(pixels[::-1] if plant == "flip" else pixels), color_space)
    if plant == "pack":
        image.unpack(method="REMOVE")
        image.reload()
    material = build_material("Ramp", {"base_color": image}, "Other" if plant == "uv map" else "Artist")
    shader = next(node for node in material.node_tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    next(socket for socket in shader.inputs if socket.identifier == "Specular IOR Level").default_value = 0.0
    if plant == "slot":
        obj.data.materials.append(bpy.data.materials.new("First"))
        obj.data.materials.append(material)
    else:
        obj.data.materials.append(material)
    return {"error": float(np.abs(_seen_from_above() - pixels.astype(np.float32) / 255.0).mean())}


def _seen_from_above(size: int = 64) -> np.ndarray:
    """sRGB [S, S, 3] of the square from -1 to 1, row 0 at the top, as Cycles with the Standard view sees it."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 8, False
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGB"
    world = bpy.data.worlds.new("White")
    scene.world = world
    world.use_nodes = True
    background = next(node for node in world.node_tree.nodes if node.bl_idname == "ShaderNodeBackground")
    background.inputs["Color"].default_value = (1, 1, 1, 1)
    camera = bpy.data.objects.new("Top", bpy.data.cameras.new("Top"))
    camera.data.type, camera.data.ortho_scale, camera.location = "ORTHO", 2.0, (0, 0, 3)
    scene.collection.objects.link(camera)
    scene.camera = camera
    path = Path(bpy.app.tempdir) / "seen.png"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    seen = bpy.data.images.load(str(path))
    values = np.empty(size * size * 4, dtype=np.float32)
    seen.pixels.foreach_get(values)
    return values.reshape(size, size, 4)[::-1, :, :3]


def cameras() -> Any:
    """Where Blender's own projection puts a point, and where the exported matrices do."""
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    worst = 0.0
    for settings in (("PERSP", 0.0, "AUTO"), ("PERSP", 0.2, "VERTICAL"), ("ORTHO", -0.1, "HORIZONTAL")):
        _clear()
        scene = bpy.context.scene
        scene.render.resolution_x, scene.render.resolution_y = 640, 480
        camera = bpy.data.objects.new("C", bpy.data.cameras.new("C"))
        camera.data.type, camera.data.shift_x, camera.data.sensor_fit = settings
        camera.location, camera.rotation_euler, camera.scale = (3, -4, 2), (1.1, 0.1, 0.6), (2, 2, 2)
        scene.collection.objects.link(camera)
        bpy.context.view_layer.update()
        spec = camera_spec(camera, scene, bpy.context.evaluated_depsgraph_get())
        matrix = np.reshape(spec.projection, (4, 4)) @ np.reshape(spec.world_to_camera, (4, 4))
        for point in ((0.3, 0.2, 0.1), (-0.5, 0.4, 0.7)):
            clip = matrix @ np.array([*point, 1.0])
            expected = world_to_camera_view(scene, camera, Vector(point))
            worst = max(worst, float(np.abs(clip[:2] / clip[3] * 0.5 + 0.5 - np.array(expected[:2])).max()))
    return {"worst": worst}


if __name__ == "__main__":
    answer = globals()[sys.argv[1]](**json.loads(sys.argv[2]))
    Path(sys.argv[3]).write_text(json.dumps(answer))
