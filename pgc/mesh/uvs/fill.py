# SPDX-License-Identifier: Apache-2.0
"""UVs for some polygons of a mesh, beside those of the others: never on a texel that is taken."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int32, Int64

from blender_addon.uv_measure.charts import connected
from blender_addon.uv_measure.free_room import SCALES, place_charts, taken_cells
from pgc.errors import MeshError
from pgc.mesh.data import Mesh
from pgc.mesh.triangulation import triangulate
from pgc.mesh.uvs.layout import arrange_uvs
from pgc.mesh.uvs.unwrap import unwrap
from pgc.unique_rows import unique_rows

__all__ = ["FilledUvs", "fill_uvs", "pool_and_corners"]

_TILES_IN_ROW = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilledUvs:
    """The mesh with its new UVs, and where they went."""

    mesh: Mesh
    new_tile: int | None
    """The UDIM tile that was opened for them; None: they found room in the layout."""


def fill_uvs(
    mesh: Mesh,
    polygons: Bool[np.ndarray, " P"],
    charts: Int[np.ndarray, " F"],
    density: float,
    progress: Callable[[float], None] | None = None,
    *,
    parked: bool = False,
) -> FilledUvs | None:
    """Makes new UVs for some polygons; all others keep theirs, bit for bit.

    The polygons are unwrapped on their own and their charts placed, the biggest first, in the free room of the
    emptiest tile, as dense as the others (down to half, where room is short). Without room they get a further UDIM
    tile. None where that cannot be: the layout repeats its texture, so it has no tiles.

    Args:
        polygons: which to unwrap; not all.
        charts: chart of each triangle of `triangulate(mesh)`, of which the others' tiles follow.
        density: of the others, UV units a unit of length.
        parked: `UvMeasure.parked`; there are no tiles then.
    """
    triangles = triangulate(mesh)
    kept = ~polygons[triangles.polygon_index]
    own_charts = np.unique(charts[kept], return_inverse=True)[1].astype(np.int32)
    layout = arrange_uvs(triangles.corner_uvs[kept], own_charts, parked=parked)
    corners = np.repeat(polygons, mesh.polygon_sizes)
    part = _part(mesh, polygons, corners)
    own = unwrap(part, progress)
    pool, index = pool_and_corners(own)
    uvs = pool[index].astype(np.float64)
    scale = density / max(_density(own), 1e-300)
    chart = _chart_of_corners(own)
    tiles = np.unique(layout.face_tiles)
    taken = {
        int(tile): taken_cells(layout.corner_uvs[layout.face_tiles == tile] - _origin(int(tile))) for tile in tiles
    }
    tile = min(taken, key=lambda number: float(taken[number].mean()))
    for factor in SCALES:
        placed = place_charts(uvs * (scale * factor), chart, taken[tile])
        if placed is not None:
            return FilledUvs(mesh=_with_uvs(mesh, corners, placed + _origin(tile)), new_tile=None)
    if layout.needs_repeat or layout.out_of_range_fraction > 0.0:
        return None
    further = int(tiles.max()) + 1
    placed = uvs * min(scale, 1.0) + _origin(further)
    return FilledUvs(mesh=_with_uvs(mesh, corners, placed), new_tile=further)


def pool_and_corners(mesh: Mesh) -> tuple[Float32[np.ndarray, "T 2"], Int32[np.ndarray, " L"]]:
    """Returns the UVs that a mesh is textured by, and each corner's number in them. Raises `MeshError` where it has
    none."""
    if mesh.uvs is None or mesh.corner_uvs is None:
        raise MeshError(f"{mesh.name}: the mesh has no UVs; unwrap it first.")
    return mesh.uvs, mesh.corner_uvs


def _part(mesh: Mesh, polygons: Bool[np.ndarray, " P"], corners: Bool[np.ndarray, " L"]) -> Mesh:
    return replace(
        mesh,
        polygon_sizes=mesh.polygon_sizes[polygons],
        corner_positions=mesh.corner_positions[corners],
        uvs=None,
        corner_uvs=None,
        normals=None,
        corner_normals=None,
        other_uv_sets=(),
        colors=None,
        corner_colors=None,
        material_index=mesh.material_index[polygons],
        part_index=None if mesh.part_index is None else mesh.part_index[polygons],
    )


def _density(mesh: Mesh) -> float:
    """UV units a unit of length over the whole mesh."""
    triangles = triangulate(mesh)
    uv, place = triangles.corner_uvs.astype(np.float64), triangles.positions[triangles.faces].astype(np.float64)
    flat, solid = (corner[:, 1:] - corner[:, :1] for corner in (uv, place))
    uv_area = np.abs(flat[:, 0, 0] * flat[:, 1, 1] - flat[:, 0, 1] * flat[:, 1, 0]).sum()
    area = np.linalg.norm(np.cross(solid[:, 0], solid[:, 1]), axis=1).sum()
    return float(np.sqrt(uv_area / max(float(area), 1e-300)))


def _chart_of_corners(mesh: Mesh) -> Int64[np.ndarray, " L"]:
    """Polygons that share a UV are one chart: an unwrap never gives two charts the same point."""
    pool, index = pool_and_corners(mesh)
    polygon = np.repeat(np.arange(len(mesh.polygon_sizes)), mesh.polygon_sizes)
    count = len(mesh.polygon_sizes)
    label = connected(count + len(pool), polygon, count + index.astype(np.int64))
    return np.unique(label[polygon], return_inverse=True)[1].reshape(-1).astype(np.int64)


def _origin(tile: int) -> Float64[np.ndarray, " 2"]:
    return np.array([(tile - 1001) % _TILES_IN_ROW, (tile - 1001) // _TILES_IN_ROW], dtype=np.float64)


def _with_uvs(mesh: Mesh, corners: Bool[np.ndarray, " L"], uvs: Float64[np.ndarray, "K 2"]) -> Mesh:
    """The mesh with new UVs at some corners, behind the pool that it has."""
    had, given = pool_and_corners(mesh)
    pool, index = unique_rows(uvs.astype(np.float32))
    corner_uvs = given.copy()
    corner_uvs[corners] = (index.reshape(-1) + len(had)).astype(np.int32)
    return replace(mesh, uvs=np.concatenate([had, pool]), corner_uvs=corner_uvs)
