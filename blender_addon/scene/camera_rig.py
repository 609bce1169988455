# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's cameras as the job spec wants them: Blender's own projection matrices, so that nothing is guessed."""

from __future__ import annotations

from collections.abc import Sequence

import bpy

from ..protocol.job_spec import CameraRigSpec, CameraSamplerSpec, CameraSpec
from .errors import SceneError

__all__ = ["camera_spec", "rig_for"]


def camera_spec(camera: bpy.types.Object, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> CameraSpec:
    """One camera at the scene's render size: perspective, orthographic, shifted, any sensor fit.

    Raises:
        SceneError: the object is no camera, or a panoramic one.
    """
    if camera.type != "CAMERA" or camera.data.type == "PANO":
        raise SceneError(f"{camera.name} is not a perspective or orthographic camera; choose another.")
    render = scene.render
    width = max(1, render.resolution_x * render.resolution_percentage // 100)
    height = max(1, render.resolution_y * render.resolution_percentage // 100)
    projection = camera.evaluated_get(depsgraph).calc_matrix_camera(
        depsgraph, x=width, y=height, scale_x=render.pixel_aspect_x, scale_y=render.pixel_aspect_y
    )
    # A camera's scale does not change what it sees.
    world_to_camera = camera.evaluated_get(depsgraph).matrix_world.normalized().inverted()
    return CameraSpec(
        world_to_camera=tuple(value for row in world_to_camera for value in row),
        projection=tuple(value for row in projection for value in row),
        aspect=width * render.pixel_aspect_x / (height * render.pixel_aspect_y),
    )


def rig_for(
    scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, cameras: Sequence[bpy.types.Object]
) -> CameraRigSpec | CameraSamplerSpec:
    """The given cameras; none: views from everywhere."""
    if not cameras:
        return CameraSamplerSpec()
    return CameraRigSpec(cameras=tuple(camera_spec(camera, scene, depsgraph) for camera in cameras))
