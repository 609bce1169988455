# SPDX-License-Identifier: GPL-3.0-or-later
"""A new UV map beside those that a mesh has: the layer, whether the mesh is still the same, and room for some faces."""

from __future__ import annotations

import hashlib

import bpy
import numpy as np
import numpy.typing as npt

from ...uv_measure import UvFaces, measure_uvs
from ...uv_measure.charts import connected, uv_bits
from ...uv_measure.free_room import SCALES, place_charts, taken_cells
from ..errors import SceneError
from .uv_reading import UvArrays, read_uv_arrays, read_uvs, write_uvs

__all__ = ["Filling", "add_uv_map", "mesh_digest", "put_corner_uvs"]

_NAME = "PGC"


def add_uv_map(mesh: bpy.types.Mesh) -> str:
    """Adds a UV map, active from now on, and returns its name. It begins as a copy of the one that was active.

    Raises:
        SceneError: the mesh has as many as it can have.
    """
    layer = mesh.uv_layers.new(name=_NAME)
    if layer is None:
        raise SceneError(f"{mesh.name} has as many UV maps as a mesh can have; remove one first.")
    mesh.uv_layers.active = layer
    return layer.name


def mesh_digest(mesh: bpy.types.Mesh, layer: str) -> str:
    """Returns a digest of what new UVs hang on: polygons, positions, and the UVs of a map, where one is named that
    exists.
    """
    digest = hashlib.blake2b(digest_size=16)
    arrays = (
        (mesh.vertices, "co", 3 * len(mesh.vertices), np.float32),
        (mesh.loops, "vertex_index", len(mesh.loops), np.int32),
        (mesh.polygons, "loop_total", len(mesh.polygons), np.int32),
    )
    for collection, name, size, dtype in arrays:
        values = np.empty(size, dtype)
        collection.foreach_get(name, values)
        digest.update(values.tobytes())
    if layer in mesh.uv_layers:
        digest.update(read_uvs(mesh, layer).tobytes())
    return digest.hexdigest()


def put_corner_uvs(mesh: bpy.types.Mesh, corner_uvs: npt.NDArray[np.float32], before: str, fill: bool) -> str:
    """Puts UVs [F, 3, 2], by triangle as Blender has them, into a new UV map; returns its name.

    Args:
        before: the map whose faces keep their UVs where `fill`: only those without get new ones, where there is room.

    Raises:
        SceneError: there is one UV map too many, or the UVs are not of this mesh.
    """
    arrays = read_uv_arrays(mesh, before)
    if corner_uvs.shape != arrays.corner_uvs.shape:
        raise SceneError(f"{mesh.name} has other triangles than the UVs that came; make them again.")
    uvs = np.zeros((len(mesh.loops), 2), np.float32)
    uvs[arrays.loops] = corner_uvs
    placed = Filling(mesh, arrays).placed(uvs) if fill else None
    name = add_uv_map(mesh)
    write_uvs(mesh, name, uvs if placed is None else placed)
    return name


class Filling:
    """Which polygons of a UV map lack UVs, and room for theirs beside the others'."""

    def __init__(self, mesh: bpy.types.Mesh, arrays: UvArrays) -> None:
        measure, faces = measure_uvs(
            arrays.positions, arrays.faces, arrays.corner_uvs, arrays.without, material=arrays.materials
        )
        self._arrays, self._density = arrays, measure.density_median
        self._sizes = np.empty(len(mesh.polygons), np.int32)
        mesh.polygons.foreach_get("loop_total", self._sizes)
        self.chosen = _to_fill(arrays, faces, len(self._sizes))
        """Polygons [P] that are to get UVs."""

    def placed(self, uvs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        """Returns the UVs [L, 2] of all corners, those of the chosen polygons in free room; None without room.

        Args:
            uvs: [L, 2], new ones of the chosen polygons, anywhere; of the others nothing is looked at.
        """
        arrays, kept = self._arrays, ~self.chosen[self._arrays.polygons]
        own, _ = measure_uvs(arrays.positions, arrays.faces[~kept], uvs[arrays.loops[~kept]], grid=64)
        if own.density_median <= 0.0:
            return None
        loops = np.repeat(self.chosen, self._sizes)
        charts = _charts(uvs[loops], np.repeat(np.arange(len(self._sizes)), self._sizes)[loops])
        taken = taken_cells(arrays.corner_uvs[kept])
        scale = self._density / own.density_median
        for factor in SCALES:
            placed = place_charts(uvs[loops].astype(np.float64) * (scale * factor), charts, taken)
            if placed is not None:
                result = arrays.uvs.copy()
                result[loops] = placed
                return result
        return None


def _to_fill(arrays: UvArrays, faces: UvFaces, count: int) -> npt.NDArray[np.bool_]:
    """Polygons [P] without UVs, and those whose every triangle collapsed."""
    missing = np.bincount(arrays.polygons, faces.without, minlength=count) > 0
    collapsed = np.bincount(arrays.polygons, faces.collapsed, minlength=count) > 0
    solid = np.bincount(arrays.polygons, (faces.density > 0.0) & ~faces.collapsed, minlength=count) > 0
    return missing | (collapsed & ~solid)


def _charts(uvs: npt.NDArray[np.float32], polygon: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Chart of each corner: polygons that share a UV hang together."""
    _, point = np.unique(uv_bits(uvs), return_inverse=True)
    _, row = np.unique(polygon, return_inverse=True)
    count = int(row.max()) + 1
    label = connected(count + int(point.max()) + 1, row, count + point.reshape(-1))
    return np.unique(label[row], return_inverse=True)[1].reshape(-1)
