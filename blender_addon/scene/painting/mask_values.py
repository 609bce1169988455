# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a mesh may become white in a mask: a number for each corner of its triangles, and its way into pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import bpy
import numpy as np
import numpy.typing as npt

from ...uv_measure.orientation import TURNED_INWARDS, is_turned_inwards
from ...uv_measure.raster import covered_cells
from ..errors import SceneError
from ..meshes.uv_reading import UvArrays, read_uv_arrays
from .hidden_places import COARSE, enlarged, measure_hidden
from .wear import Wear, measure_wear

__all__ = ["MESH_ACTIONS", "inward_note", "mesh_pixels"]

MESH_ACTIONS = ("FACES", "GROUP", "SLOT", "UP", "HEIGHT", "EDGES", "CREVICES", "HIDDEN", "THIN")
_TURNED = ("EDGES", "CREVICES", "HIDDEN", "THIN")
"""Actions that need to know which side of a face is out."""
_ValueAt: TypeAlias = Callable[[npt.NDArray[np.int64], npt.NDArray[np.float64]], npt.NDArray[np.float32]]
"""From triangles [N] and barycentric weights [N, 3] to numbers [N]."""
_REACH = 0.02
"""Width of a worn edge, as a share of the object's diagonal."""
_WIDEST = 2.0
"""Side of a triangle in UVs; what is larger repeats the texture, and its pixels would fill the memory."""
_ROUNDING = 1e-6
"""Of positions, as a share of the largest coordinate."""
_FLAT, _STEEP = 0.7, 0.3
"""Cosines of a slope: from the first on it counts as facing up, below the second not at all."""


def mesh_pixels(obj: bpy.types.Object, action: str, uv_map: str, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Returns how white the mesh makes each pixel, float32 [H, W] of 0 to 1, row 0 at the bottom; one pixel beyond its
    charts' borders too, since strokes of a brush bleed over them as well.

    Args:
        action: of `MESH_ACTIONS`. FACES: the selected ones; GROUP: the active vertex group's weights; SLOT: the faces
            of the active material slot; UP: what faces up in the scene; HEIGHT: 0 at the lowest point to 1 at the
            highest; EDGES: along edges that stick out; CREVICES: along those that lie inside; HIDDEN: what the
            mesh hides from the sky; THIN: what has its other side close behind it.
        uv_map: where faces lie in the mask; one that the mesh lacks means its active one. size: width and height.

    Raises:
        SceneError: no face is selected, there is no vertex group, nothing has its weights or its slot, faces up or has
            any height, or the mesh has no such edges or places.
    """
    mesh = obj.data
    if mesh.is_editmode:
        # The mesh's own UVs cannot be read meanwhile, also where another object with this mesh is being edited.
        raise SceneError(f"The mesh of {obj.name} is in Edit Mode; leave it first, what is selected stays selected.")
    if not mesh.uv_layers:
        raise SceneError(f"{obj.name} has no UV map, so that a mask has no place for its faces; make one first.")
    layer = uv_map if uv_map in mesh.uv_layers else mesh.uv_layers.active.name
    arrays = read_uv_arrays(mesh, layer)
    triangles = arrays.corner_uvs.astype(np.float64)
    if action in ("EDGES", "CREVICES"):
        wear = _wear(obj, arrays, convex=action == "EDGES")
        return _drawn(triangles, wear.worn, wear.at, size)
    if action in ("HIDDEN", "THIN"):
        return _by_rays(obj, arrays, action, size)
    values = _corner_values(obj, arrays, action)
    if not (values > 0.0).any():
        raise SceneError(f"Nothing of {obj.name} {'faces up' if action == 'UP' else 'is higher than the rest'}.")

    def at(triangle: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        return (weights * values[triangle]).sum(axis=1).astype(np.float32)

    return _drawn(triangles, (values > 0.0).any(axis=1), at, size)


def inward_note(obj: bpy.types.Object, action: str) -> str:
    """Says in a sentence where edges, crevices, hidden or thin places were taken of a mesh whose normals point inwards;
    "": they were not.

    The mesh must be out of Edit Mode, and have UVs.
    """
    if action not in _TURNED:
        return ""
    arrays = read_uv_arrays(obj.data, obj.data.uv_layers.active.name)
    return TURNED_INWARDS.format(name=obj.name) if is_turned_inwards(arrays.positions, arrays.faces) else ""


def _wear(obj: bpy.types.Object, arrays: UvArrays, *, convex: bool) -> Wear:
    """Of the mesh as it stands in the scene, with bands as wide as a share of its size."""
    placed = arrays.positions @ np.array(obj.matrix_world, np.float32)[:3, :3].T
    size = float(np.linalg.norm(placed.max(axis=0) - placed.min(axis=0))) if len(placed) else 0.0
    # A mirrored object shows its faces from behind.
    mirrored = np.linalg.det(np.array(obj.matrix_world)[:3, :3]) < 0.0
    wear = measure_wear(placed, arrays.faces, _REACH * size, convex=convex != mirrored)
    if not wear.worn.any():
        what = "edges that stick out" if convex else "edges that lie inside"
        raise SceneError(f"{obj.name} has no {what}: it is flat, or its faces are not connected.")
    return wear


def _by_rays(obj: bpy.types.Object, arrays: UvArrays, action: str, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Of the mesh as it stands in the scene; in few pixels, which a larger mask lies between."""
    if not len(arrays.faces):
        raise SceneError(f"{obj.name} has no faces.")
    placed = arrays.positions @ np.array(obj.matrix_world, np.float32)[:3, :3].T
    mirrored = np.linalg.det(np.array(obj.matrix_world)[:3, :3]) < 0.0
    faces = arrays.faces[:, ::-1] if mirrored else arrays.faces
    hidden = measure_hidden(placed, np.ascontiguousarray(faces), inside=action == "THIN")
    triangles, every = arrays.corner_uvs.astype(np.float64), np.ones(len(faces), np.bool_)
    share = min(1.0, COARSE / max(size))

    def at(triangle: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        return hidden.at(triangle, weights[:, ::-1] if mirrored else weights)

    coarse = _drawn(triangles, every, at, (max(1, round(size[0] * share)), max(1, round(size[1] * share))))
    if not coarse.any():
        what = "is hidden from the sky" if action == "HIDDEN" else "is thin"
        raise SceneError(f"Nothing of {obj.name} {what}; take another place, or paint the mask.")
    if share == 1.0:
        return coarse
    return enlarged(coarse, size) * _drawn(triangles, every, lambda of, _: np.ones(len(of), np.float32), size)


def _corner_values(obj: bpy.types.Object, arrays: UvArrays, action: str) -> npt.NDArray[np.float32]:
    """A number from 0 to 1 for each corner of each triangle, [F, 3]."""
    match action:
        case "FACES":
            return _of_faces(_selected(obj)[arrays.polygons])
        case "GROUP":
            return _weights(obj)[arrays.faces]
        case "SLOT":
            return _of_faces(_in_slot(obj)[arrays.polygons])
        case "UP":
            return _facing_up(obj, arrays)
        case "HEIGHT":
            height = arrays.positions @ np.array(obj.matrix_world, np.float32)[2, :3]
            if not len(height):
                return np.zeros((0, 3), np.float32)
            low, high = float(height.min()), float(height.max())
            # What lies level has only rounding for its height.
            rounding = _ROUNDING * float(np.abs(arrays.positions).max())
            share = (height - low) / (high - low) if high - low > rounding else np.zeros_like(height)
            return share[arrays.faces].clip(0.0, 1.0)
        case _:
            raise ValueError(f"Got the action {action!r}; expected one of {', '.join(MESH_ACTIONS)}.")


def _of_faces(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    return np.repeat(chosen[:, None], 3, axis=1).astype(np.float32)


def _selected(obj: bpy.types.Object) -> npt.NDArray[np.bool_]:
    chosen = np.empty(len(obj.data.polygons), np.bool_)
    obj.data.polygons.foreach_get("select", chosen)
    if not chosen.any():
        raise SceneError(f"No face of {obj.name} is selected; select faces in Edit Mode first.")
    return chosen


def _in_slot(obj: bpy.types.Object) -> npt.NDArray[np.bool_]:
    index = np.empty(len(obj.data.polygons), np.int32)
    obj.data.polygons.foreach_get("material_index", index)
    chosen = index == obj.active_material_index
    if not chosen.any():
        raise SceneError(f"No face of {obj.name} is in its active material slot; choose another slot.")
    return chosen


def _weights(obj: bpy.types.Object) -> npt.NDArray[np.float32]:
    group = obj.vertex_groups.active
    if group is None:
        raise SceneError(f"{obj.name} has no vertex group; make one, or paint weights, first.")
    found = np.zeros(len(obj.data.vertices), np.float32)
    for vertex in obj.data.vertices:
        for entry in vertex.groups:
            if entry.group == group.index:
                found[vertex.index] = entry.weight
    if not found.any():
        raise SceneError(f"No vertex of {obj.name} has a weight in the group {group.name}; choose another group.")
    return found


def _facing_up(obj: bpy.types.Object, arrays: UvArrays) -> npt.NDArray[np.float32]:
    """By the normals that are seen, in the scene's own directions: a turned object's top is where it is now."""
    normals = np.empty(len(obj.data.loops) * 3, np.float32)
    obj.data.corner_normals.foreach_get("vector", normals)
    turned = normals.reshape(-1, 3).astype(np.float64) @ np.linalg.pinv(np.array(obj.matrix_world)[:3, :3])
    upward = turned[:, 2] / np.maximum(np.linalg.norm(turned, axis=1), 1e-30)
    return ((upward - _STEEP) / (_FLAT - _STEEP)).clip(0.0, 1.0).astype(np.float32)[arrays.loops]


def _drawn(
    uvs: npt.NDArray[np.float64], chosen: npt.NDArray[np.bool_], value_at: _ValueAt, size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Values in the pixels that the chosen triangles touch; the greatest where several do."""
    width, height = size
    low, high = uvs.min(axis=1), uvs.max(axis=1)
    # Of several tiles, the mask is the first one's.
    within = chosen & ((high > 0.0) & (low < 1.0)).all(axis=1)
    if chosen.any() and not within.any():
        raise SceneError("Nothing of it lies in the mask, which is UVs from 0 to 1; make a New UV Map.")
    chosen = within
    if ((high - low)[chosen] > _WIDEST).any():
        raise SceneError("The UVs repeat, so that a mask has no place of its own for each face; make a New UV Map.")
    triangles = uvs[chosen] * (width, height)
    triangle, cells = covered_cells(triangles)
    inside = ((cells >= 0) & (cells < (width, height))).all(axis=1)
    triangle, cells = triangle[inside], cells[inside]
    weights = _barycentric(triangles[triangle], cells + 0.5)
    found = np.zeros((height + 2, width + 2), np.float32)
    drawn = value_at(np.flatnonzero(chosen)[triangle], weights)
    order = np.argsort(drawn)
    # Of several that are written to one place, the last one stays, which is the greatest.
    columns, rows = cells[order].T
    found[rows + 1, columns + 1] = drawn[order]
    around = [found[down : down + height, across : across + width] for down in range(3) for across in range(3)]
    beyond = np.maximum.reduce(around)
    inner = found[1:-1, 1:-1]
    # Inside a chart a gradient stays what it is.
    touched = np.zeros((height, width), np.bool_)
    touched[cells[:, 1], cells[:, 0]] = True
    return np.where(touched, inner, beyond)


def _barycentric(triangles: npt.NDArray[np.float64], points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weights [N, 3] of points in the plane of triangles [N, 3, 2]; of points beside them, those of a place on them."""
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    offset = points - triangles[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    area = np.where(np.abs(area) > 1e-12, area, np.inf)
    b = (offset[:, 0] * second[:, 1] - offset[:, 1] * second[:, 0]) / area
    c = (first[:, 0] * offset[:, 1] - first[:, 1] * offset[:, 0]) / area
    weights = np.stack([1.0 - b - c, b, c], axis=1).clip(0.0, 1.0)
    return weights / weights.sum(axis=1, keepdims=True)
