# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's cameras as the job spec wants them: Blender's own projection matrices, so that nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import bpy

from ..protocol.job_spec import CameraRigSpec, CameraSamplerSpec, CameraSpec
from .errors import SceneError

__all__ = ["camera_spec", "rig_for", "scene_cameras", "view_spec"]


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


def scene_cameras(objects: Iterable[bpy.types.Object]) -> list[bpy.types.Object]:
    """The cameras among objects that can be used, by name."""
    cameras = [obj for obj in objects if obj.type == "CAMERA" and obj.data.type != "PANO"]
    return sorted(cameras, key=lambda camera: camera.name)


def view_spec(context: bpy.types.Context) -> CameraRigSpec:
    """The 3D view that the artist looks at, as one camera.

    Raises:
        SceneError: no 3D view is open.
    """
    area = _view_area(context)
    if area is None:
        raise SceneError("No 3D view is open; open one, or choose All Around.", "pgc.use_all_around")
    region = next(region for region in area.regions if region.type == "WINDOW")
    view = area.spaces.active.region_3d
    spec = CameraSpec(
        world_to_camera=tuple(value for row in view.view_matrix for value in row),
        projection=tuple(value for row in view.window_matrix for value in row),
        aspect=max(1, region.width) / max(1, region.height),
    )
    return CameraRigSpec(cameras=(spec,))


def _view_area(context: bpy.types.Context) -> bpy.types.Area | None:
    """The area of the click, or the biggest 3D view of its window."""
    if context.area is not None and context.area.type == "VIEW_3D":
        return context.area
    screen = context.screen
    areas = [area for area in screen.areas if area.type == "VIEW_3D"] if screen is not None else []
    return max(areas, key=lambda area: area.width * area.height, default=None)
