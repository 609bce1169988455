# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras of a rig as ordinary objects, so that an artist can see and move them."""

from __future__ import annotations

import math

import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Vector

__all__ = ["add_rig", "remove_rig"]

_NAME = "PGC Camera Rig"
_LENS_MM = 50.0
_MARGIN = 1.15


def add_rig(scene: bpy.types.Scene, obj: bpy.types.Object, count: int) -> bpy.types.Collection:
    """Adds a collection of `count` cameras, spread evenly over a sphere around the object, each with all of it
    in view.
    """
    center, radius = _bounds(obj)
    rig = bpy.data.collections.new(_NAME)
    scene.collection.children.link(rig)
    # Half of the smaller angle of view: the whole sphere around the object fits in.
    half = math.atan(18.0 / _LENS_MM)
    render = scene.render
    sides = (render.resolution_x * render.pixel_aspect_x, render.resolution_y * render.pixel_aspect_y)
    half = math.atan(math.tan(half) * min(sides) / max(sides))
    distance = radius * _MARGIN / math.sin(half)
    for index, direction in enumerate(_directions(count)):
        data = bpy.data.cameras.new(f"PGC Camera {index + 1}")
        data.lens, data.sensor_width, data.display_size = _LENS_MM, 36.0, radius * 0.35
        data.clip_start, data.clip_end = distance * 0.01, distance * 10.0
        camera = bpy.data.objects.new(data.name, data)
        camera.location = center + np.array(direction) * distance
        # From where it really is: far from the world's origin, Blender rounds a place to half a metre.
        ahead = Vector(center - np.array(camera.location, np.float64))
        camera.rotation_euler = ahead.to_track_quat("-Z", "Y").to_euler()
        rig.objects.link(camera)
    return rig


def remove_rig(rig: bpy.types.Collection) -> None:
    """Removes the collection and the cameras in it; other objects that the artist put there are kept in the scene."""
    for obj in list(rig.objects):
        if obj.type != "CAMERA":
            if len(obj.users_collection) == 1:
                bpy.context.scene.collection.objects.link(obj)
            continue
        data = obj.data
        bpy.data.objects.remove(obj)
        if data.users == 0:
            bpy.data.cameras.remove(data)
    bpy.data.collections.remove(rig)


def _directions(count: int) -> list[Vector]:
    """Unit vectors of a Fibonacci lattice: even, and no two above each other."""
    golden = math.pi * (3.0 - math.sqrt(5.0))
    found = []
    for index in range(count):
        z = 1.0 - 2.0 * (index + 0.5) / count
        ring = math.sqrt(max(0.0, 1.0 - z * z))
        found.append(Vector((ring * math.cos(golden * index), ring * math.sin(golden * index), z)))
    return found


def _bounds(obj: bpy.types.Object) -> tuple[npt.NDArray[np.float64], float]:
    """Centre and radius of a sphere around the object in world space."""
    matrix = np.array(obj.matrix_world, np.float64)
    corners = np.array([tuple(corner) for corner in obj.bound_box]) @ matrix[:3, :3].T + matrix[:3, 3]
    center = corners.mean(axis=0)
    return center, max(float(np.linalg.norm(corners - center, axis=1).max()), 1e-3)
