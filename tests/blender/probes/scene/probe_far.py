# SPDX-License-Identifier: Apache-2.0
"""Objects and cameras far from the world's origin, as a server gets them."""

from typing import Any

import bpy
import numpy as np
from probe_scenes import _run, _said, _shown
from probe_session import Rig, disable, enable


def far_away(in_vertices: bool) -> Any:
    """A wall at UTM coordinates and the same at the origin: arrays and cameras as a server gets them."""
    sent = {}
    for place in ((0, 0, 0), (500_000, 5_400_000, 32)):
        enable()
        rig = Rig()
        bpy.ops.mesh.primitive_grid_add(x_subdivisions=8, y_subdivisions=4, size=16)
        wall = rig.obj = bpy.context.object
        wall.rotation_euler = (1.5707963, 0, 0)
        bpy.ops.object.transform_apply(rotation=True)
        target = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
        bpy.context.scene.collection.objects.link(target)
        target.location, target.rotation_euler = (place[0] + 4, place[1] - 32, place[2] + 8), (1.4, 0.0, 0.1)
        if in_vertices:
            for vertex in wall.data.vertices:
                vertex.co = [value + offset for value, offset in zip(vertex.co, place, strict=True)]
        else:
            wall.location = place
        bpy.context.view_layer.update()
        bpy.context.scene.pgc.cameras = "scene"
        view = rig.click()
        _, spec, arrays = rig.fake.submitted[-1]
        mesh, camera = spec.meshes[0], spec.cameras.cameras[0]
        positions = arrays[mesh.positions.sha256]
        _run(rig, view)
        sent[place] = {
            "positions": positions,
            "clip": _clip(camera, positions),
            "uvs": arrays[mesh.corner_uvs.sha256],
            "end": view.phase.value,
            "shown": sorted(_shown(wall)),
        }
        disable()
    near, far = sent.values()
    return {
        "positions": float(np.abs(near["positions"] - far["positions"]).max()),
        "clip": float(np.abs(near["clip"] - far["clip"]).max()),
        "uvs": bool((near["uvs"] == far["uvs"]).all()),
        "largest": float(np.abs(far["positions"]).max()),
        "end": [near["end"], far["end"]],
        "shown": far["shown"],
    }


def _clip(camera: Any, positions: np.ndarray) -> np.ndarray:
    """Where the server's float32 matrices put the vertices, [V, 2]."""
    matrix = np.float32(camera.projection).reshape(4, 4) @ np.float32(camera.world_to_camera).reshape(4, 4)
    clip = np.c_[positions, np.ones(len(positions), np.float32)] @ matrix.T
    return clip[:, :2] / clip[:, 3:]


def far_rig() -> Any:
    """A rig around an object far away has all of it in view."""
    enable()
    rig = Rig()
    bpy.ops.mesh.primitive_cube_add(size=8, location=(500_000, 5_400_000, 0))
    bpy.ops.pgc.add_rig(count=6)
    bpy.context.view_layer.update()
    bpy.ops.pgc.generate()
    _, spec, arrays = rig.fake.submitted[-1]
    positions = arrays[spec.meshes[0].positions.sha256]
    found = {"widest": max(float(np.abs(_clip(camera, positions)).max()) for camera in spec.cameras.cameras)}
    found["middle"] = max(float(np.abs(_clip(camera, positions).mean(axis=0)).max()) for camera in spec.cameras.cameras)
    disable()
    return found


def flat_camera() -> Any:
    """A camera of scale zero among those of the scene."""
    enable()
    rig = Rig()
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.scale = (0, 1, 1)
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.view_layer.update()
    bpy.context.scene.pgc.cameras = "scene"
    found = {"said": _said(bpy.ops.pgc.generate), "sent": len(rig.fake.submitted)}
    disable()
    return found
