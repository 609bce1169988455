# SPDX-License-Identifier: Apache-2.0
"""UVs for some polygons of a mesh, beside those of the others: never on a texel that is taken."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int32, Int64

from blender_addon.uv_measure import covered_cells
from blender_addon.uv_measure.charts import connected
from pgc.errors import MeshError
from pgc.mesh_data import Mesh
from pgc.triangulation import triangulate
from pgc.unwrap import unwrap
from pgc.uv_layout import arrange_uvs

__all__ = ["FilledUvs", "fill_uvs", "pool_and_corners"]

_GRID = 512
_PADDING = 2
"""Cells between charts: 4 texels at 1024 texels a side, as a whole unwrap leaves."""
_SCALES = (1.0, 0.8, 0.64, 0.5)
"""Of the others' density: coarser than half would show."""
_MAX_EDGE_POINTS = 4 * _GRID
_MAX_CHARTS = 4000
"""Above it the search for room would take minutes; the charts then go to a tile of their own."""
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
) -> FilledUvs | None:
    """New UVs for some polygons; all others keep theirs, bit for bit.

    The polygons are unwrapped on their own and their charts placed, the biggest first, in the free room of the
    emptiest tile, as dense as the others (down to half, where room is short). Without room they get a further UDIM
    tile. None where that cannot be: the layout repeats its texture, so it has no tiles.

    Args:
        polygons: which to unwrap; not all.
        charts: chart of each triangle of `triangulate(mesh)`, of which the others' tiles follow.
        density: of the others, UV units a unit of length.
    """
    triangles = triangulate(mesh)
    kept = ~polygons[triangles.polygon_index]
    layout = arrange_uvs(triangles.corner_uvs[kept], np.unique(charts[kept], return_inverse=True)[1].astype(np.int32))
    corners = np.repeat(polygons, mesh.polygon_sizes)
    part = _part(mesh, polygons, corners)
    own = unwrap(part, progress)
    pool, index = pool_and_corners(own)
    uvs = pool[index].astype(np.float64)
    scale = density / max(_density(own), 1e-300)
    chart = _chart_of_corners(own)
    tiles = np.unique(layout.face_tiles)
    taken = {int(tile): _taken(layout.corner_uvs[layout.face_tiles == tile], int(tile)) for tile in tiles}
    tile = min(taken, key=lambda number: float(taken[number].mean()))
    for factor in _SCALES if int(chart.max()) < _MAX_CHARTS else ():
        placed = _place(uvs * (scale * factor), chart, taken[tile])
        if placed is not None:
            return FilledUvs(mesh=_with_uvs(mesh, corners, placed + _origin(tile)), new_tile=None)
    if layout.needs_repeat or layout.out_of_range_fraction > 0.0:
        return None
    further = int(tiles.max()) + 1
    placed = uvs * min(scale, 1.0) + _origin(further)
    return FilledUvs(mesh=_with_uvs(mesh, corners, placed), new_tile=further)


def pool_and_corners(mesh: Mesh) -> tuple[Float32[np.ndarray, "T 2"], Int32[np.ndarray, " L"]]:
    """The textured set of a mesh. Raises `MeshError` where it has none."""
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


def _taken(corner_uvs: Float32[np.ndarray, "F 3 2"], tile: int) -> Bool[np.ndarray, "G G"]:
    """Cells [row, column] of a tile that triangles touch, and `_PADDING` around them. UVs that run over the edge of
    the texture touch what lies there when it repeats."""
    triangles = (corner_uvs.astype(np.float64) - _origin(tile)) * _GRID
    cells = np.concatenate([covered_cells(triangles)[1], _edge_cells(triangles)])
    grid = np.zeros((_GRID, _GRID), dtype=bool)
    grid[np.mod(cells[:, 1], _GRID), np.mod(cells[:, 0], _GRID)] = True
    for axis in (0, 1):
        spread = grid.copy()
        for step in range(1, _PADDING + 1):
            spread |= np.roll(grid, step, axis) | np.roll(grid, -step, axis)
        grid = spread
    return grid


def _edge_cells(triangles: Float64[np.ndarray, "F 3 2"]) -> Int64[np.ndarray, "N 2"]:
    """Cells along the outlines, so that triangles thinner than a cell are found too."""
    start, end = triangles.reshape(-1, 2), np.roll(triangles, -1, axis=1).reshape(-1, 2)
    counts = np.ceil(2.0 * np.abs(end - start).max(axis=1)).clip(1, _MAX_EDGE_POINTS).astype(np.int64) + 1
    edge = np.repeat(np.arange(len(start)), counts)
    within = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    along = (within / (counts[edge] - 1))[:, None]
    return np.floor(start[edge] + along * (end - start)[edge]).astype(np.int64)


def _place(
    uvs: Float64[np.ndarray, "L 2"], chart: Int64[np.ndarray, " L"], taken: Bool[np.ndarray, "G G"]
) -> Float64[np.ndarray, "L 2"] | None:
    """The charts' UVs in [0, 1]^2 where nothing is taken; None where one finds no room."""
    count = int(chart.max()) + 1
    low, high = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(low, chart, uvs)
    np.maximum.at(high, chart, uvs)
    # A cell more, since a chart may begin anywhere in its first one.
    sizes = np.ceil((high - low) * _GRID).astype(np.int64) + 1
    if (sizes > _GRID - 2 * _PADDING).any() or sizes.prod(axis=1).sum() > (~taken).sum():
        return None
    busy = taken.copy()
    busy[:_PADDING], busy[-_PADDING:], busy[:, :_PADDING], busy[:, -_PADDING:] = True, True, True, True
    corner = np.empty((count, 2), dtype=np.int64)
    for number in np.argsort(-sizes.max(axis=1), kind="stable").tolist():
        width, height = sizes[number].tolist()
        found = _first_room(busy, width, height)
        if found is None:
            return None
        row, column = found
        corner[number] = column, row
        rows = slice(max(row - _PADDING, 0), row + height + _PADDING)
        busy[rows, max(column - _PADDING, 0) : column + width + _PADDING] = True
    return uvs - low[chart] + corner[chart] / _GRID


def _first_room(taken: Bool[np.ndarray, "G G"], width: int, height: int) -> tuple[int, int] | None:
    """Row and column of the first free box, by a table of sums (Crow 1984)."""
    sums = np.zeros((_GRID + 1, _GRID + 1), dtype=np.int32)
    sums[1:, 1:] = taken.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    first = int(np.argmin(inside))
    row, column = divmod(first, inside.shape[1])
    return (row, column) if inside[row, column] == 0 else None


def _origin(tile: int) -> Float64[np.ndarray, " 2"]:
    return np.array([(tile - 1001) % _TILES_IN_ROW, (tile - 1001) // _TILES_IN_ROW], dtype=np.float64)


def _with_uvs(mesh: Mesh, corners: Bool[np.ndarray, " L"], uvs: Float64[np.ndarray, "K 2"]) -> Mesh:
    """The mesh with new UVs at some corners, behind the pool that it has."""
    had, given = pool_and_corners(mesh)
    pool, index = np.unique(uvs.astype(np.float32), axis=0, return_inverse=True)
    corner_uvs = given.copy()
    corner_uvs[corners] = (index.reshape(-1) + len(had)).astype(np.int32)
    return replace(mesh, uvs=np.concatenate([had, pool]), corner_uvs=corner_uvs)
