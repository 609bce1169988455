# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent of an object whose shape is to be refined: its shown mesh, which is read and never changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from ...model.conditions.shapes import ShapeTask
from ...protocol.specs.mesh_checks import LARGEST
from ..errors import SceneError
from ..meshes.checks import check_surface
from ..meshes.evaluation import instances_of, shown_object
from ..meshes.new_uvs import mesh_digest

__all__ = ["ShapeSource", "is_flat", "read_array", "read_source"]

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class ShapeSource:
    """An object's shown mesh, ready to be sent: in the world's axes and sizes, counted from the object's origin.

    Args:
        positions: float32 [V, 3]; faces: int32 [F, 3], seen from outside as the world shows them.
        corner_uvs: float32 [F, 3, 2], where it has a UV map; material_index: int32 [F].
    """

    positions: F32
    faces: I32
    corner_uvs: F32 | None
    material_index: I32
    task: ShapeTask


def read_source(obj: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> ShapeSource:
    """Reads an object's mesh, with its modifiers.

    Raises:
        SceneError: it shows no faces, has no volume in the world, or a vertex at no finite place.
    """
    turn = np.array(obj.matrix_world, np.float64)[:3, :3]
    if is_flat(turn):
        raise SceneError(f"{obj.name} is scaled flat in the scene, so that it has no shape; apply or change its scale.")
    with shown_object(obj, depsgraph) as (evaluated, dependencies):
        if instances_of(evaluated, dependencies):
            raise SceneError(
                f"{obj.name} shows instances, which are no part of its mesh; make a real mesh of it.", "pgc.make_real"
            )
        mesh = evaluated.to_mesh(preserve_all_data_layers=True, depsgraph=dependencies)
        try:
            mesh.calc_loop_triangles()
            count = len(mesh.loop_triangles)
            if not count:
                raise SceneError(f"{obj.name} has no faces, so that there is no shape to refine.")
            return _read(obj.name, mesh, count, turn)
        finally:
            evaluated.to_mesh_clear()


def is_flat(turn: npt.NDArray[np.float64]) -> bool:
    """Says whether an object's rotation and scale [3, 3] leave no volume."""
    volume, size = float(np.linalg.det(turn)), float(np.abs(turn).max())
    return not np.isfinite(volume) or abs(volume) <= 1e-9 * size**3


def _read(name: str, mesh: bpy.types.Mesh, count: int, turn: npt.NDArray[np.float64]) -> ShapeSource:
    faces = read_array(mesh.loop_triangles, "vertices", count * 3, np.int32).reshape(count, 3)
    loops = read_array(mesh.loop_triangles, "loops", count * 3, np.int32).reshape(count, 3)
    places = read_array(mesh.vertices, "co", len(mesh.vertices) * 3, np.float32).reshape(-1, 3)
    positions = places.astype(np.float64) @ turn.T
    check_surface(name, positions, faces)
    uvs = None
    if mesh.uv_layers:
        layer = mesh.uv_layers.active or mesh.uv_layers[0]
        uvs = read_array(layer.uv, "vector", len(mesh.loops) * 2, np.float32).reshape(-1, 2)[loops]
        # A shape is learnt without them: what no server would take is nothing to refuse it for.
        uvs = np.where(np.abs(uvs) <= LARGEST["corner_uvs"], uvs, np.float32(0.0))
    if np.linalg.det(turn) < 0.0:
        # A mirrored object shows the other side of every triangle.
        faces, uvs = faces[:, ::-1], None if uvs is None else uvs[:, ::-1]
    return ShapeSource(
        positions=np.ascontiguousarray(positions, dtype=np.float32),
        faces=np.ascontiguousarray(faces),
        corner_uvs=None if uvs is None else np.ascontiguousarray(uvs, dtype=np.float32),
        material_index=read_array(mesh.loop_triangles, "material_index", count, np.int32),
        task=ShapeTask(digest=mesh_digest(mesh, ""), turn=tuple(turn.reshape(-1).tolist())),
    )


def read_array(collection: Any, name: str, size: int, dtype: type[np.generic]) -> npt.NDArray[Any]:  # noqa: ANN401
    """Returns what a collection of Blender has under a name, flat, [size]."""
    values = np.empty(size, dtype=dtype)
    collection.foreach_get(name, values)
    return values
