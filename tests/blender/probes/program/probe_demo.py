# SPDX-License-Identifier: Apache-2.0
"""Inside Blender: the demo's teapot, textured by the extension's operators, rendered under several lights."""

from collections.abc import Mapping, Sequence
from typing import Any

import bpy
import numpy as np
from mathutils import Vector
from probe_installed import NAME, _drive, install, start
from probe_world_light import light_with

__all__ = ["frame", "install", "texture_and_render"]

SIZE = (640, 480)
SAMPLES = 16


def texture_and_render(
    mesh: str, connection: str, prompt: str, lights: Sequence[Mapping[str, str]], blend: str, limit: float
) -> Any:
    """Import the mesh, generate a texture, render it under each light ("radiance": .npy, "picture": .png), save."""
    start()
    bpy.context.preferences.addons[NAME].preferences.connection = connection
    bpy.ops.wm.obj_import(filepath=mesh)
    pot = bpy.context.selected_objects[0]
    pot.name = "Teapot"
    bpy.context.view_layer.objects.active = pot
    for polygon in pot.data.polygons:
        polygon.use_smooth = True
    bpy.context.view_layer.update()
    settings, state = bpy.context.scene.pgc, bpy.context.window_manager.pgc
    settings.prompt, settings.preset, settings.texture_size = prompt, "draft", "512"
    settings.maps = {"base_color", "roughness", "metallic"}
    assert bpy.ops.pgc.generate() == {"FINISHED"}
    seen = _drive(limit)
    if seen[-1] != "done":
        return {"states": seen, "message": state.message}
    frame(pot, SIZE)
    for light in lights:
        light_with(bpy.context.scene, np.load(light["radiance"]))
        bpy.context.scene.render.filepath = light["picture"]
        bpy.ops.render.render(write_still=True)
    bpy.ops.wm.save_as_mainfile(filepath=blend, compress=True)
    return {"states": seen, "message": state.message, "version": bpy.app.version_string}


def frame(pot: bpy.types.Object, picture: tuple[int, int]) -> None:
    """A floor, a camera that sees the whole of the object, and Cycles' settings for pictures of that size."""
    corners = [pot.matrix_world @ Vector(corner) for corner in pot.bound_box]
    low = Vector(map(min, zip(*corners, strict=True)))
    high = Vector(map(max, zip(*corners, strict=True)))
    center, size = (low + high) / 2, (high - low).length
    bpy.ops.mesh.primitive_plane_add(size=20 * size, location=(center.x, center.y, low.z))
    floor = bpy.data.materials.new("Floor")
    if bpy.app.version < (5, 0, 0):
        floor.use_nodes = True
    shader = next(node for node in floor.node_tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    shader.inputs["Base Color"].default_value = (0.35, 0.35, 0.35, 1.0)
    bpy.context.object.data.materials.append(floor)
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.lens = 60
    camera.location = center + Vector((0.6, -1.4, 0.68)) * size
    camera.rotation_euler = (center - camera.location).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(camera)
    _render_settings(camera, picture)


def _render_settings(camera: bpy.types.Object, picture: tuple[int, int]) -> None:
    scene = bpy.context.scene
    scene.camera = camera
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", SAMPLES, True
    scene.cycles.max_bounces, scene.render.use_persistent_data = 4, False
    scene.render.resolution_x, scene.render.resolution_y = picture
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
