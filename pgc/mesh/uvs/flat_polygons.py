# SPDX-License-Identifier: Apache-2.0
"""The polygons of a mesh laid out in the plane, each whole and, where its shape allows it, without distortion."""

from collections import defaultdict, deque

import numpy as np
from jaxtyping import Bool, Float64, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pgc.mesh.data import Mesh, TriangleMesh
from pgc.mesh.triangulation import newell_normals, project_polygon
from pgc.mesh.uvs.layout import affordable_grid, covered_cells

__all__ = ["Polygons", "doubled_areas", "fill_gaps", "links", "opened", "ring", "torn_polygons"]

_GRID = 160
"""Cells a side of the box around a polygon, where it is looked at whether it lies upon itself."""
_LEAST_GRID, _MOST_CELLS = 40, 2_000_000
"""A polygon of a thousand corners has a thousand long triangles, each with a box of its own: then fewer cells."""
_TOLERATED = 1e-3
"""Of a polygon's cells or area: rounding of edges."""
_SQUEEZED = 0.1
"""Of a triangle's area, what its polygon's plane shows at least of a triangle that is not seen from the side."""
_LOST = 0.01
"""Of a polygon's area may be seen from the side."""


class Polygons:
    """The polygons of a mesh, with their triangles, each flattened on its own where asked for."""

    def __init__(self, mesh: Mesh, triangles: TriangleMesh) -> None:
        self._mesh, self._triangles = mesh, triangles
        self._first = np.searchsorted(triangles.polygon_index, np.arange(len(mesh.polygon_sizes) + 1))
        self._starts = np.cumsum(mesh.polygon_sizes, dtype=np.int64) - mesh.polygon_sizes

    def rows(self, polygon: int) -> slice:
        """Returns the place of a polygon's triangles."""
        return slice(int(self._first[polygon]), int(self._first[polygon + 1]))

    def corners(self, polygon: int) -> slice:
        """Returns the place of a polygon's corners among those of the mesh."""
        start = int(self._starts[polygon])
        return slice(start, start + int(self._mesh.polygon_sizes[polygon]))

    def local(self, polygon: int) -> Int[np.ndarray, "T 3"]:
        """Returns the corners of a polygon's triangles, counted from the polygon's first corner."""
        return self._triangles.corner_index[self.rows(polygon)] - int(self._starts[polygon])

    def points(self, polygon: int) -> Float64[np.ndarray, "N 3"]:
        """Returns the positions of a polygon's corners."""
        return self._mesh.positions[self._mesh.corner_positions[self.corners(polygon)]].astype(np.float64)

    def flat(self, polygon: int) -> Float64[np.ndarray, "N 2"]:
        """Returns a polygon's corners in its own plane, in units of the mesh; it may lie folded upon itself."""
        points = self.points(polygon)
        return project_polygon(points, newell_normals(points[None])[0])

    def is_flat(self, polygon: int, flat: Float64[np.ndarray, "N 2"]) -> bool:
        """Says whether no triangle is turned in its plane, or seen from the side; it may still wind onto itself."""
        local = self.local(polygon)
        areas = doubled_areas(flat[local])
        if -np.minimum(areas, 0.0).sum() > _TOLERATED * np.abs(areas).sum():
            return False
        in_space = 2.0 * _areas(self.points(polygon), local)
        return float(in_space[areas < _SQUEEZED * in_space].sum()) <= _LOST * float(in_space.sum())

    def spread(self, polygon: int) -> Float64[np.ndarray, "N 2"]:
        """Returns a polygon's corners in a plane, in units of the mesh, with no triangle on another.

        That is its own plane where it lies there as it should. A polygon that crosses itself, or is bent too much,
        is opened along the sides of its triangles, and one that covers itself then too becomes a ring.
        """
        flat, local = self.flat(polygon), self.local(polygon)
        if self.is_flat(polygon, flat) and _covers_once(flat, local):
            return flat
        points = self.points(polygon)
        flat = opened(points, local)
        return flat if _covers_once(flat, local) else ring(points, local)


def opened(points: Float64[np.ndarray, "N 3"], local: Int[np.ndarray, "T 3"]) -> Float64[np.ndarray, "N 2"]:
    """Lays a polygon's corners into the plane, every triangle as large as in space, beside its neighbour."""
    sides = np.linalg.norm(points[local] - points[np.roll(local, -1, axis=1)], axis=2)
    result = np.zeros((len(points), 2))
    neighbours: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, triangle in enumerate(local.tolist()):
        for side in range(3):
            neighbours[_key(triangle[side], triangle[(side + 1) % 3])].append(row)
    root = int(np.argmax(_areas(points, local)))
    first, second, _ = local[root].tolist()
    result[second] = (sides[root, 0], 0.0)
    queue, seen = deque([(root, first, second)]), {root}
    while queue:
        row, start, end = queue.popleft()
        triangle = local[row].tolist()
        at = triangle.index(start)
        third = triangle[(at + 2) % 3]
        lengths = (float(sides[row, (at + 2) % 3]), float(sides[row, (at + 1) % 3]))
        result[third] = _third(result[start], result[end], *lengths)
        for side in range(3):
            a, b = triangle[side], triangle[(side + 1) % 3]
            for other in neighbours[_key(a, b)]:
                if other not in seen:
                    seen.add(other)
                    queue.append((other, b, a))
    return result


def _key(first: int, second: int) -> tuple[int, int]:
    return (min(first, second), max(first, second))


def _third(
    start: Float64[np.ndarray, " 2"], end: Float64[np.ndarray, " 2"], from_start: float, from_end: float
) -> Float64[np.ndarray, " 2"]:
    """The third corner of a triangle, left of its side, by its distances from the ends."""
    side = end - start
    length = float(np.hypot(*side))
    if length <= 0.0:
        return start + np.array([from_start, 0.0])
    along = (length**2 + from_start**2 - from_end**2) / (2.0 * length)
    height = np.sqrt(max(from_start**2 - along**2, 0.0))
    return start + (along * side + height * np.array([-side[1], side[0]])) / length


def ring(points: Float64[np.ndarray, "N 3"], local: Int[np.ndarray, "T 3"]) -> Float64[np.ndarray, "N 2"]:
    """Lays a polygon's corners in their order on a circle, as far apart as its sides are long, with its area.

    No two triangles of a convex polygon lie on each other, however it was cut. They are distorted: a last resort.
    """
    sides = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
    # Equal corners (a bridge to a hole) must come apart too.
    steps = sides + max(float(sides.sum()), 1e-300) / (8 * len(points))
    angles = 2.0 * np.pi * (np.cumsum(steps) - steps) / steps.sum()
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    covered = 0.5 * np.abs(doubled_areas(circle[local])).sum()
    return circle * np.sqrt(float(_areas(points, local).sum()) / covered)


def _areas(points: Float64[np.ndarray, "N 3"], local: Int[np.ndarray, "T 3"]) -> Float64[np.ndarray, " T"]:
    a, b, c = (points[local[:, side]] for side in range(3))
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)


def _covers_once(flat: Float64[np.ndarray, "N 2"], local: Int[np.ndarray, "T 3"]) -> bool:
    """Whether no triangle lies on another."""
    low, high = flat.min(axis=0), flat.max(axis=0)
    unit = ((flat - low) / np.maximum(high - low, 1e-300))[local]
    grid = affordable_grid(unit, _GRID, least=_LEAST_GRID, most_cells=_MOST_CELLS)
    _, cell = covered_cells(unit * grid)
    number = cell[:, 1] * (4 * grid) + cell[:, 0]
    return len(number) - len(np.unique(number)) <= _TOLERATED * len(number)


def fill_gaps(
    uvs: Float64[np.ndarray, "N 2"], points: Float64[np.ndarray, "N 3"], local: Int[np.ndarray, "T 3"]
) -> Float64[np.ndarray, "N 2"]:
    """Fills the NaN among the UVs of a polygon's corners; only triangles without area have these corners.

    Such a corner comes to lie on the line between the two others of its triangle, where it lies on the surface, so
    that the triangle covers nothing in the texture either. One at least must be known.
    """
    result = uvs.copy()
    gaps = np.isnan(result[:, 0])
    while gaps.any():
        missing = gaps[local].sum(axis=1)
        candidates = np.flatnonzero((missing == 1) if (missing == 1).any() else (missing == 2))
        if len(candidates) == 0:
            result[gaps] = result[~gaps][0]
            break
        triangle = local[candidates[0]]
        known, unknown = triangle[~gaps[triangle]], triangle[gaps[triangle]]
        start, end = int(known[0]), int(known[-1])
        way = points[end] - points[start]
        share = (points[unknown] - points[start]) @ way / max(float(way @ way), 1e-300)
        result[unknown] = result[start] + np.clip(share, 0.0, 1.0)[:, None] * (result[end] - result[start])
        gaps[unknown] = False
    return result


def pieces(triangles: TriangleMesh, placed: Bool[np.ndarray, " F"]) -> Int[np.ndarray, " K"]:
    """Returns a number for each triangle with a place, equal where two of one polygon hang together by corners."""
    corner = triangles.corner_index[placed]
    size = int(corner.max(initial=-1)) + 1
    first, second = np.repeat(corner[:, 0], 2), corner[:, 1:].reshape(-1)
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(size, size))
    return connected_components(graph, directed=False)[1][corner[:, 0]].astype(np.int64)


def torn_polygons(triangles: TriangleMesh, placed: Bool[np.ndarray, " F"], count: int) -> Bool[np.ndarray, " P"]:
    """Marks the polygons whose triangles with a place are several pieces: what is between those has no area."""
    torn = np.zeros(count, dtype=bool)
    found = np.unique(np.stack([triangles.polygon_index[placed], pieces(triangles, placed)], axis=1), axis=0)
    torn[found[1:, 0][found[1:, 0] == found[:-1, 0]]] = True
    return torn


def links(
    triangles: TriangleMesh, placed: Bool[np.ndarray, " F"], corners: Float64[np.ndarray, "F 3 2"], least: float
) -> Int[np.ndarray, " L"]:
    """Returns the triangles that join the pieces of torn polygons, each three numbers (3 * face + corner) of `corners`.

    Each is a side of the first piece and a corner of another one, the smallest such whose doubled area is above
    `least`: what it covers is lost to other charts.
    """
    piece = np.full(len(placed), -1)
    piece[placed] = pieces(triangles, placed)
    torn = torn_polygons(triangles, placed, int(triangles.polygon_index.max()) + 1)
    rows = np.flatnonzero(placed & torn[triangles.polygon_index])
    points = corners.reshape(-1, 2)
    found: list[int] = []
    for polygon in np.unique(triangles.polygon_index[rows]).tolist():
        group = rows[triangles.polygon_index[rows] == polygon]
        own, *others = np.unique(piece[group]).tolist()
        numbers = 3 * group[piece[group] == own, None] + np.arange(3)
        sides = np.stack([numbers, np.roll(numbers, -1, axis=1)], axis=2).reshape(-1, 2)
        for other in others:
            ends = (3 * group[piece[group] == other, None] + np.arange(3)).reshape(-1)
            candidates = np.concatenate(
                [np.repeat(sides, len(ends), axis=0), np.tile(ends, len(sides))[:, None]], axis=1
            )
            areas = np.abs(doubled_areas(points[candidates]))
            found += candidates[np.argmin(np.where(areas > least, areas, np.inf))].tolist()
    return np.array(found, dtype=np.int64)


def doubled_areas(corners: Float64[np.ndarray, "F 3 2"]) -> Float64[np.ndarray, " F"]:
    """Returns twice the areas of triangles in the plane; negative where one is clockwise."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
