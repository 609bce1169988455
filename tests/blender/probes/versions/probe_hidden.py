# SPDX-License-Identifier: Apache-2.0
"""Masks of what a mesh hides from the sky, and of what is thin."""

from typing import Any

import bpy
import numpy as np
from mathutils import Vector
from probe_session import enable
from probe_version_cases import ends_cleanly


def _box(scale: tuple[float, float, float], *, away: float = 0.0, flipped: bool = False) -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add(location=(away, 0.0, 0.0))
    obj = bpy.context.object
    obj.scale = scale
    if flipped:
        obj.data.flip_normals()
    obj.pgc.keep_mask = bpy.data.images.new("Mask", 256, 256, is_data=True)
    bpy.context.view_layer.update()
    return obj


def _made(obj: bpy.types.Object, action: str) -> np.ndarray | str:
    bpy.context.view_layer.objects.active = obj
    bpy.ops.pgc.edit_keep_mask(action="CLEAR")
    try:
        bpy.ops.pgc.edit_keep_mask(action=action)
    except RuntimeError as error:
        return str(error).strip()
    return np.array(obj.pgc.keep_mask.pixels[:]).reshape(256, 256, 4)[..., 0]


def _slow_share(obj: bpy.types.Object, place: Vector, normal: Vector, reach: float) -> float:
    """By Blender's own rays against the object, 4,000 drawn at random about a normal."""
    random, found = np.random.default_rng(0), 0
    for _ in range(4000):
        ray = normal + Vector(random.normal(size=3)).normalized()
        found += obj.ray_cast(place + 1e-4 * normal, ray.normalized(), distance=reach)[0]
    return found / 4000


@ends_cleanly
def against_rays() -> list[list[float]]:
    """Shares at the middles of Suzanne's triangles, beside those of the slow way."""
    from blender_addon.scene.meshes.uv_reading import read_uv_arrays
    from blender_addon.scene.painting.hidden_places import measure_hidden

    enable()
    bpy.ops.mesh.primitive_monkey_add()
    obj = bpy.context.object
    arrays = read_uv_arrays(obj.data, obj.data.uv_layers.active.name)
    chosen = np.arange(0, len(arrays.faces), 97)
    pairs = []
    for inside in (False, True):
        hidden = measure_hidden(arrays.positions, arrays.faces, inside=inside)
        fast = hidden.share(chosen, np.full((len(chosen), 3), 1 / 3))
        for index, share in zip(chosen, fast, strict=True):
            corners = [Vector(arrays.positions[vertex]) for vertex in arrays.faces[index]]
            normal = (corners[1] - corners[0]).cross(corners[2] - corners[0]).normalized()
            normal = -normal if inside else normal
            middle = (corners[0] + corners[1] + corners[2]) / 3.0
            pairs.append([float(share), _slow_share(obj, middle, normal, hidden.reach)])
    return pairs


@ends_cleanly
def hidden_places() -> Any:
    """Boxes from outside and inside, turned, mirrored and far away; a slab; a plane."""
    enable()
    found: dict[str, Any] = {"outside": _made(_box((1.0, 1.0, 1.0)), "HIDDEN")}
    inside = _made(_box((1.0, 1.0, 1.0), flipped=True), "HIDDEN")
    mirrored = _made(_box((-1.0, 1.0, 1.0), flipped=True), "HIDDEN")
    away = _made(_box((1.0, 1.0, 1.0), away=1e4, flipped=True), "HIDDEN")
    assert not isinstance(inside, str)
    found["inside"] = [float(inside.max()), float((inside > 0.9).mean())]
    found["same"] = [bool(np.array_equal(inside, mirrored)), bool(np.array_equal(inside, away))]
    found["again"] = bool(np.array_equal(inside, _made(bpy.context.object, "HIDDEN")))
    # A slab h thick meets its other side within a reach of r where cos > h / r, 1 - (h / r)^2 of an even sky. Of a
    # reach that is 5 % of the diagonal, 0.7746 makes 0.4, which is 0.75 of the way from 0.1 to 0.5.
    diagonal = 2.0 * np.sqrt(2.0)
    slab = _made(_box((1.0, 1.0, 0.7746 * 0.05 * diagonal / 2.0)), "THIN")
    assert not isinstance(slab, str)
    found["slab"] = [float((np.abs(slab - 0.75) < 0.1).mean()), float((slab > 0.99).mean())]
    bpy.ops.mesh.primitive_plane_add()
    plane = bpy.context.object
    plane.pgc.keep_mask = bpy.data.images.new("Mask", 256, 256, is_data=True)
    found["plane"] = [_made(plane, "THIN"), _made(plane, "HIDDEN")]
    return found


@ends_cleanly
def many_places() -> dict[str, Any]:
    """Of 40,000 places on a ball, how many have rays, how far they lie and look from those that they stand for; of as
    many at random all about, the most; of few, whether each is its own.
    """
    from blender_addon.scene.painting import hidden_places

    random = np.random.default_rng(0)
    normals = random.normal(size=(40_000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    first, of = hidden_places._alike(normals, normals, 2.0)
    scattered, _ = hidden_places._alike(random.normal(size=(40_000, 3)), normals, 1e-3)
    few = hidden_places._alike(normals[:50], normals[:50], 2.0)
    return {
        "places": len(first),
        "distance": float(np.linalg.norm(normals[first][of] - normals, axis=1).max()),
        "looks": float((normals[first][of] * normals).sum(axis=1).min()),
        "scattered": len(scattered),
        "few": [one.tolist() == list(range(50)) for one in few],
    }
