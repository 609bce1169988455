# SPDX-License-Identifier: Apache-2.0
"""All maps of a job on a real server: live on the mesh, and in the Principled material of its version."""

import time
from typing import Any

import bpy
import numpy as np
from probe_session import disable, enable
from probes import _plane

MAPS = {"base_color", "roughness", "metallic", "normal", "occlusion"}


def generate(connection: str, limit: float = 150.0) -> Any:
    """Texture a plane with every map; what its preview showed, and what the version is made of."""
    enable()
    bpy.context.preferences.addons["blender_addon"].preferences.connection = connection
    from blender_addon.session import event_pump

    obj = _plane("Shown")
    bpy.context.view_layer.objects.active = obj
    settings, window = bpy.context.scene.pgc, bpy.context.window_manager.pgc
    settings.prompt, settings.steps, settings.texture_size, settings.warm_start = "red bricks", 4, "256", "off"
    settings.maps = MAPS
    bpy.ops.pgc.generate()
    view = event_pump.current_state().newest()
    live: dict[str, Any] = {}
    end = time.monotonic() + limit
    while view.live and time.monotonic() < end:
        event_pump.tick()
        if "PGC Preview" in [slot.material.name for slot in obj.material_slots if slot.material]:
            live |= material_facts(obj.pgc.job.preview.material)
        time.sleep(0.02)
    found = {
        "state": window.state,
        "message": window.message,
        "offered": sorted(event_pump.current_state().server.maps),
        "live": live,
        "final": material_facts(obj.material_slots[0].material),
        "versions": [sorted(entry.name for entry in version.maps) for version in obj.pgc.versions],
    }
    disable()
    return found


def material_facts(material: bpy.types.Material) -> dict[str, Any]:
    """Of each socket that a picture drives: its colour space, mean and spread of its channels, and the way to it."""
    nodes = material.node_tree.nodes
    shader = next(node for node in nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    sockets = {socket.identifier: socket for socket in shader.inputs if socket.is_linked}
    for node in nodes:
        if node.bl_idname == "ShaderNodeGroup":
            sockets["Occlusion"] = node.inputs["Occlusion"]
    return {name: _picture(socket) for name, socket in sockets.items() if socket.links}


def _picture(socket: bpy.types.NodeSocket) -> dict[str, Any]:
    """The image behind a socket."""
    node, way = socket.links[0].from_node, []
    while node.bl_idname != "ShaderNodeTexImage":
        way.append(node.bl_idname)
        node = node.inputs["Color"].links[0].from_node
    image = node.image
    values = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(values)
    values = values.reshape(-1, 4)[:, :3]
    return {
        "way": way,
        "data": image.colorspace_settings.is_data,
        "size": list(image.size),
        "mean": [round(float(value), 3) for value in values.mean(axis=0)],
        "spread": round(float(values.max() - values.min()), 3),
    }
