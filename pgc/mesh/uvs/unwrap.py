# SPDX-License-Identifier: Apache-2.0
"""UVs for a mesh without them, by xatlas, with the mesh's polygons kept whole and nothing on top of anything else."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int32

from pgc.errors import MeshError
from pgc.mesh.checks import check_triangle_count, triangle_areas
from pgc.mesh.data import Mesh, TriangleMesh
from pgc.mesh.triangulation import triangulate
from pgc.mesh.uvs.chart_overlaps import folded_polygons, overlapping_pairs, polygons_to_move
from pgc.mesh.uvs.flat_polygons import Polygons, doubled_areas, fill_gaps, links, torn_polygons
from pgc.mesh.uvs.mirrored import unmirrored
from pgc.mesh.uvs.xatlas_process import Meter, run_xatlas

__all__ = ["unwrap"]

_LEAST_AREA = 1e-13
"""Of a triangle, over the square of the mesh's extent; below, it covers no texel of any texture."""
_LEAST_SHARE = 1e-6
"""Of a triangle's area in the square of its longest side; below, it is a line, and where its sides lie is rounding."""
_MOST_STRETCH = 8.0
"""Of a chart by xatlas, between two directions; more is a needle whose short side is noise."""
_LEAST_TEXELS = 1e-6
"""Twice a triangle's area in texels of 1024 a side; xatlas drops what has less than about a tenth of it."""
_ROUNDS = 4
_TOLERATED = 1e-4
"""Share of used texels that may be covered twice: the rounding of edges."""


def unwrap(mesh: Mesh, progress: Callable[[float], None] | None = None) -> Mesh:
    """Returns the mesh with new UVs in [0, 1]^2 in place of its own: no overlaps, square texels, one UV a corner.

    xatlas charts triangles, so it may cut a polygon in two. Such a polygon goes whole to the chart of its largest
    triangle, unfolded in its own plane. What then lies on something else becomes a chart of its own, and all is packed
    again, until nothing does. Triangles without area get no place: their corners lie on the edges of their neighbours,
    or all on one point. `progress` gets 0..1, an estimate by time and number of triangles, since xatlas reports none.
    Stopping (KeyboardInterrupt, an exception from `progress`) ends xatlas too. Raises `MeshError` where xatlas fails
    or is missing, and for a mesh without any area.
    """
    if importlib.util.find_spec("xatlas") is None:
        raise MeshError(
            f"{mesh.name}: it needs new UVs, and xatlas, which makes them, is not installed (for Python 3.14 and "
            "later it must be compiled); unwrap the mesh in Blender (U > Smart UV Project), or: pip install xatlas."
        )
    check_triangle_count(mesh.name, mesh.polygon_sizes)
    triangles = triangulate(mesh)
    meter = Meter(progress, len(triangles.faces))
    meter.tell()
    layout = _chart(mesh, triangles, meter)
    layout = _separate(mesh, triangles, _with_whole_polygons(mesh, triangles, layout), meter)
    layout = _turned_over(layout, triangles, mesh.name, meter)
    flat = _by_corner(mesh, triangles, layout)
    pool, corner_uvs = np.unique(flat, axis=0, return_inverse=True)
    meter.tell(done=True)
    return replace(mesh, uvs=pool, corner_uvs=corner_uvs.reshape(-1).astype(np.int32))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Layout:
    """Where triangles lie.

    Attributes:
        corners: UVs of the corners; anything where the triangle has no place.
        placed: triangles that have a place.
        indices: of the UVs as xatlas numbers them: equal where two corners are one point of a chart; −1 without place.
        packed: False where charts lie anywhere, and have to be packed.
    """

    corners: Float64[np.ndarray, "F 3 2"]
    placed: Bool[np.ndarray, " F"]
    indices: Int[np.ndarray, "F 3"]
    packed: bool


def _chart(mesh: Mesh, triangles: TriangleMesh, meter: Meter) -> _Layout:
    """Charts by xatlas of all triangles that have an area."""
    solid = _solid(triangles)
    if not solid.any():
        raise MeshError(f"{mesh.name}: none of its triangles has an area, so there is nothing to unwrap; repair it.")
    # xatlas drops triangles whose area is below a bound of its own, whatever the unit.
    sized = triangles.positions * np.float32(1024.0 * 2.0 ** -np.floor(np.log2(_extent(triangles))))
    found, uvs = run_xatlas("chart", sized, triangles.faces[solid], mesh.name, meter)
    corners = np.zeros((len(solid), 3, 2))
    indices = np.full((len(solid), 3), -1, dtype=np.int64)
    corners[solid], indices[solid] = uvs[found], found
    # It leaves what it drops at (0, 0).
    placed = solid & (corners != 0).any(axis=(1, 2))
    indices[~placed] = -1
    return _Layout(corners=corners, placed=placed, indices=indices, packed=True)


def _extent(triangles: TriangleMesh) -> float:
    """The longest side of the box around the surface; 1 where it has none."""
    used = triangles.positions[triangles.faces].astype(np.float64)
    return float(np.ptp(used.reshape(-1, 3), axis=0).max()) or 1.0


def _solid(triangles: TriangleMesh) -> Bool[np.ndarray, " F"]:
    """Triangles with an area."""
    edges = triangles.positions[triangles.faces].astype(np.float64)
    longest = ((edges - np.roll(edges, 1, axis=1)) ** 2).sum(axis=2).max(axis=1)
    areas = triangle_areas(triangles.positions, triangles.faces)
    return (areas > _LEAST_AREA * _extent(triangles) ** 2) & (areas > _LEAST_SHARE * longest)


def _scale(triangles: TriangleMesh, layout: _Layout) -> float:
    """UV length over length on the surface."""
    areas = triangle_areas(triangles.positions, triangles.faces)[layout.placed].sum()
    return float(np.sqrt(0.5 * np.abs(doubled_areas(layout.corners[layout.placed])).sum() / areas))


def _with_whole_polygons(mesh: Mesh, triangles: TriangleMesh, layout: _Layout) -> _Layout:
    """The layout with every polygon in one chart; not packed where one was cut."""
    cut = _cut_polygons(mesh, triangles, layout.indices)
    cut |= torn_polygons(triangles, layout.placed, len(cut))
    if not cut.any():
        return layout
    areas = np.where(layout.placed, triangle_areas(triangles.positions, triangles.faces), -1.0)
    scale = _scale(triangles, layout)
    polygons = Polygons(mesh, triangles)
    corners = layout.corners.copy()
    bent: list[int] = []
    for polygon in np.flatnonzero(cut).tolist():
        rows, local, flat = polygons.rows(polygon), polygons.local(polygon), polygons.flat(polygon)
        if not polygons.is_flat(polygon, flat):
            bent.append(polygon)
            continue
        anchor = int(np.argmax(areas[rows]))
        corners[rows] = _unfold(flat * scale, local, layout.indices[rows], layout.corners[rows], anchor)[local]
    _lay_flat(corners, polygons, np.array(bent, dtype=np.int64), scale)
    return replace(layout, corners=corners, packed=False)


def _separate(mesh: Mesh, triangles: TriangleMesh, layout: _Layout, meter: Meter) -> _Layout:
    """The layout packed, and with nothing on top of anything else: what is becomes charts of its own."""
    owner = triangles.polygon_index
    scale = 0.0
    polygons = Polygons(mesh, triangles)
    layout = _unfolded(layout, owner, polygons, _scale(triangles, layout))
    for attempt in range(_ROUNDS + 1):
        if not layout.packed:
            layout = _pack(layout, triangles, mesh.name, meter)
        meter.tell()
        pairs, doubled = overlapping_pairs(layout.corners[layout.placed], owner[layout.placed])
        if doubled <= _TOLERATED or len(pairs) == 0 or attempt == _ROUNDS:
            break
        moved = polygons_to_move(pairs, layout.corners[layout.placed], owner[layout.placed])
        moved = np.append(moved, np.zeros(len(mesh.polygon_sizes) - len(moved), dtype=bool))
        corners = layout.corners.copy()
        if attempt < _ROUNDS // 2:
            # Away from the rest, together: neighbours among them stay neighbours.
            corners[moved[owner]] += 2.0
        else:
            scale = scale or _scale(triangles, layout)
            _lay_flat(corners, polygons, np.flatnonzero(moved), scale)
        layout = replace(layout, corners=corners, packed=False)
    return layout


def _unfolded(layout: _Layout, owner: Int32[np.ndarray, " F"], polygons: Polygons, scale: float) -> _Layout:
    """The layout with each polygon that lies folded upon itself flat in its own plane, as a chart of its own."""
    folded = folded_polygons(layout.corners[layout.placed], owner[layout.placed])
    if len(folded) == 0:
        return layout
    corners = layout.corners.copy()
    _lay_flat(corners, polygons, folded, scale)
    return replace(layout, corners=corners, packed=False)


def _lay_flat(
    corners: Float64[np.ndarray, "F 3 2"], polygons: Polygons, chosen: Int[np.ndarray, " N"], scale: float
) -> None:
    """Gives polygons UVs of their own, each anywhere free of other charts: packing finds the final place."""
    first = np.ceil(max(float(corners.max(initial=0.0)), 1.0)) + 1.0
    for place, polygon in enumerate(chosen.tolist()):
        flat = polygons.spread(polygon) * scale
        free = first + np.array([place % 64, place // 64])
        corners[polygons.rows(polygon)] = (flat - flat.min(axis=0) + free)[polygons.local(polygon)]


def _cut_polygons(mesh: Mesh, triangles: TriangleMesh, indices: Int[np.ndarray, "F 3"]) -> Bool[np.ndarray, " P"]:
    """Polygons with a corner that got different UVs in different triangles; those without place (−1) do not count."""
    placed = indices[:, 0] >= 0
    corner, vertex = triangles.corner_index[placed].reshape(-1), indices[placed].reshape(-1)
    any_vertex = np.zeros(len(mesh.corner_positions), dtype=np.int64)
    any_vertex[corner] = vertex
    differs = np.zeros(len(mesh.polygon_sizes), dtype=bool)
    differs[np.repeat(triangles.polygon_index[placed], 3)[any_vertex[corner] != vertex]] = True
    return differs


def _unfold(
    flat: Float64[np.ndarray, "N 2"],
    local: Int[np.ndarray, "T 3"],
    indices: Int[np.ndarray, "T 3"],
    corners: Float64[np.ndarray, "T 3 2"],
    anchor: int,
) -> Float64[np.ndarray, "N 2"]:
    """UVs of a polygon's corners: those of the anchor triangle's chart stay, the others follow in the plane."""
    base = flat[local[anchor]]
    uv = corners[anchor]
    result = uv[0] + (flat - base[0]) @ _placing(base, uv)
    known = dict(zip(local[anchor].tolist(), indices[anchor].tolist(), strict=True))
    pending = [row for row in range(len(local)) if row != anchor]
    grown = True
    while grown:
        grown = False
        for row in list(pending):
            pairs = zip(local[row].tolist(), indices[row].tolist(), strict=True)
            if sum(known.get(corner) == vertex for corner, vertex in pairs) >= 2:
                for side in range(3):
                    known.setdefault(int(local[row, side]), int(indices[row, side]))
                    if known[int(local[row, side])] == int(indices[row, side]):
                        result[local[row, side]] = corners[row, side]
                pending.remove(row)
                grown = True
    result[local[anchor]] = uv
    return result


def _placing(base: Float64[np.ndarray, "3 2"], uv: Float64[np.ndarray, "3 2"]) -> Float64[np.ndarray, "2 2"]:
    """The linear map (rows are vectors) that takes a triangle to its UVs. A needle would carry all beside it to
    the far end of the plane: there the turn and scale of its longest edge are taken."""
    basis = np.stack([base[1] - base[0], base[2] - base[0]])
    image = np.stack([uv[1] - uv[0], uv[2] - uv[0]])
    linear = np.linalg.pinv(basis) @ image
    most, least = np.linalg.svd(linear, compute_uv=False)
    if most <= _MOST_STRETCH * least:
        return linear
    edges = base - np.roll(base, 1, axis=0)
    side = int(np.argmax((edges**2).sum(axis=1)))
    edge, target = edges[side], uv[side] - uv[side - 1]
    cosine, sine = edge @ target, edge[0] * target[1] - edge[1] * target[0]
    return np.array([[cosine, sine], [-sine, cosine]]) / (edge @ edge)


def _turned_over(layout: _Layout, triangles: TriangleMesh, name: str, meter: Meter) -> _Layout:
    """The layout without mirrored charts. xatlas turns charts by exchanging u and v, which mirrors them."""
    corners = layout.corners.copy()
    corners[layout.placed] = unmirrored(corners[layout.placed])
    if np.array_equal(corners, layout.corners):
        return layout
    return _pack(replace(layout, corners=corners, packed=False), triangles, name, meter, turning=False)


def _pack(layout: _Layout, triangles: TriangleMesh, name: str, meter: Meter, *, turning: bool = True) -> _Layout:
    """Charts (faces that share UVs) packed into [0, 1]^2 without overlap; none is mirrored where not `turning`.

    xatlas drops triangles without area here too, and leaves their corners where they were: they lose their place
    before. What they held together moves together all the same, by links that are no triangles of the mesh.
    """
    texels = layout.corners.astype(np.float32) * np.float32(1024.0)
    placed = layout.placed & (np.abs(doubled_areas(texels.astype(np.float64))) > _LEAST_TEXELS)
    joining = texels.reshape(-1, 2)[links(triangles, placed, texels.astype(np.float64), _LEAST_TEXELS)]
    points = np.concatenate([texels[placed].reshape(-1, 2), joining])
    pool, inverse = np.unique(points, axis=0, return_inverse=True)
    indices, uvs = run_xatlas("pack" if turning else "move", pool, inverse.reshape(-1, 3), name, meter)
    corners = layout.corners.copy()
    corners[placed] = uvs[indices[: int(placed.sum())]]
    return replace(layout, corners=corners, placed=placed, packed=True)


def _by_corner(mesh: Mesh, triangles: TriangleMesh, layout: _Layout) -> Float32[np.ndarray, "L 2"]:
    """One UV for each polygon corner.

    Corners that only triangles without place have lie on a line between others (`fill_gaps`). A polygon without any
    place lies on one point, the UV of one of its vertices elsewhere: it covers nothing.
    """
    placed = layout.placed
    corner = triangles.corner_index[placed].reshape(-1)
    values = np.clip(layout.corners[placed].reshape(-1, 2), 0.0, 1.0)
    result = np.full((len(mesh.corner_positions), 2), np.nan)
    result[corner] = values
    missing = np.isnan(result[:, 0])
    if not missing.any():
        return result.astype(np.float32)
    of_vertex = np.full((len(mesh.positions), 2), np.nan)
    of_vertex[mesh.corner_positions[corner]] = values
    owner = np.repeat(np.arange(len(mesh.polygon_sizes)), mesh.polygon_sizes)
    polygons = Polygons(mesh, triangles)
    for polygon in np.unique(owner[missing]).tolist():
        own = polygons.corners(polygon)
        if not missing[own].all():
            result[own] = fill_gaps(result[own], polygons.points(polygon), polygons.local(polygon))
        else:
            known = of_vertex[mesh.corner_positions[own]]
            known = known[~np.isnan(known[:, 0])]
            result[own] = known[0] if len(known) else 0.5
    return result.astype(np.float32)
