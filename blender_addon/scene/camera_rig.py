# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's cameras as the job spec wants them: Blender's own projection matrices, so that nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import bpy
import numpy as np
import numpy.typing as npt

from ..protocol.specs.job import CameraRigSpec, CameraSamplerSpec, CameraSpec
from .errors import SceneError

__all__ = ["camera_spec", "rig_for", "scene_cameras", "view_spec"]

_FLAT = 1e-9
"""Determinant of a camera's axes, of length 1 each, below which it has no inverse."""


def camera_spec(
    camera: bpy.types.Object,
    scene: bpy.types.Scene,
    depsgraph: bpy.types.Depsgraph,
    origin: npt.NDArray[np.float64] | None = None,
) -> CameraSpec:
    """Describes one camera at the scene's render size: perspective, orthographic, shifted, any sensor fit.

    Args:
        origin: float64 [3], from where positions are counted, as `ExportedMesh.origin`; None: the world's.

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
    return CameraSpec(
        world_to_camera=_world_to_camera(camera.evaluated_get(depsgraph), origin),
        projection=tuple(value for row in projection for value in row),
        aspect=width * render.pixel_aspect_x / (height * render.pixel_aspect_y),
    )


def rig_for(
    scene: bpy.types.Scene,
    depsgraph: bpy.types.Depsgraph,
    cameras: Sequence[bpy.types.Object],
    origin: npt.NDArray[np.float64] | None = None,
) -> CameraRigSpec | CameraSamplerSpec:
    """Describes the given cameras; none: views from everywhere. `origin` as for `camera_spec`."""
    if not cameras:
        return CameraSamplerSpec()
    return CameraRigSpec(cameras=tuple(camera_spec(camera, scene, depsgraph, origin) for camera in cameras))


def scene_cameras(objects: Iterable[bpy.types.Object]) -> list[bpy.types.Object]:
    """Returns the cameras among objects that can be used, by name."""
    cameras = [obj for obj in objects if obj.type == "CAMERA" and obj.data.type != "PANO"]
    return sorted(cameras, key=lambda camera: camera.name)


def view_spec(context: bpy.types.Context, origin: npt.NDArray[np.float64] | None = None) -> CameraRigSpec:
    """Describes the 3D view that the artist looks at, as one camera. `origin` as for `camera_spec`.

    Raises:
        SceneError: no 3D view is open.
    """
    area = _view_area(context)
    if area is None:
        raise SceneError("No 3D view is open; open one, or choose All Around.", "pgc.use_all_around")
    region = next(region for region in area.regions if region.type == "WINDOW")
    view = area.spaces.active.region_3d
    spec = CameraSpec(
        world_to_camera=_world_to_view(view, area.spaces.active, origin),
        projection=tuple(value for row in view.window_matrix for value in row),
        aspect=max(1, region.width) / max(1, region.height),
    )
    return CameraRigSpec(cameras=(spec,))


def _world_to_camera(camera: bpy.types.Object, origin: npt.NDArray[np.float64] | None) -> tuple[float, ...]:
    """The inverse of a camera's place, 16 numbers row by row, in float64: mathutils has float32, which far away from
    the world's origin loses metres."""
    # A camera's scale does not change what it sees.
    place = np.array(camera.matrix_world.normalized(), np.float64)
    if origin is not None:
        place[:3, 3] -= origin
    if not np.isfinite(place).all() or abs(np.linalg.det(place)) < _FLAT:
        raise SceneError(
            f"{camera.name} has a scale of zero or no place; set its scale to 1, or choose another camera."
        )
    return tuple(np.linalg.inv(place).ravel().tolist())


def _world_to_view(
    view: bpy.types.RegionView3D, space: bpy.types.Space, origin: npt.NDArray[np.float64] | None
) -> tuple[float, ...]:
    if view.view_perspective == "CAMERA" and space.camera is not None:
        return _world_to_camera(space.camera, origin)
    # The view's own matrix has lost what lies far away; what it was made from has not.
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(view.view_matrix, np.float64)[:3, :3]
    middle = np.array(view.view_location, np.float64) - (0.0 if origin is None else origin)
    matrix[:3, 3] = -matrix[:3, :3] @ middle
    if view.view_perspective == "PERSP":
        matrix[2, 3] -= view.view_distance
    return tuple(matrix.ravel().tolist())


def _view_area(context: bpy.types.Context) -> bpy.types.Area | None:
    """The area of the click, or the biggest 3D view of its window."""
    if context.area is not None and context.area.type == "VIEW_3D":
        return context.area
    screen = context.screen
    areas = [area for area in screen.areas if area.type == "VIEW_3D"] if screen is not None else []
    return max(areas, key=lambda area: area.width * area.height, default=None)
