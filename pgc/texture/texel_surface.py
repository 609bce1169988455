# SPDX-License-Identifier: Apache-2.0
"""UV-space rasterisation: which point of the surface lies under each texel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32

from pgc.mesh.data import TriangleMesh

__all__ = ["TexelSurface", "texel_surface", "tile_origin", "uv_to_texels"]

_CANDIDATES_A_CHUNK = 4_000_000
_INSIDE_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TexelSurface:
    """Surface points under the texels of one tile, row 0 at the top.

    Attributes:
        face_index: triangle under the texel, -1 where there is none; where UVs overlap, the lowest index.
        inside: True where the texel's centre lies in that triangle; False but with a face: the texel is only
            touched (see `reach`), and the point is the nearest one of the triangle in UV space.
        barycentrics: weights of the triangle's corners, each in [0, 1], sum 1; 0 where there is no face.
        position, normal: interpolated position and unit normal, in the mesh's space; 0 where there is no face.
    """

    face_index: Int32[np.ndarray, "s s"]
    inside: Bool[np.ndarray, "s s"]
    barycentrics: Float32[np.ndarray, "s s 3"]
    position: Float32[np.ndarray, "s s 3"]
    normal: Float32[np.ndarray, "s s 3"]


def tile_origin(tile: int) -> tuple[int, int]:
    """Returns (column, row) of a UDIM tile: the UV of its lower left corner. 1001 is (0, 0), 1012 is (1, 1)."""
    return (tile - 1001) % 10, (tile - 1001) // 10


def uv_to_texels(uvs: Float[np.ndarray, "*n 2"], size: int, tile: int) -> Float64[np.ndarray, "*n 2"]:
    """Turns UV into texel coordinates (x to the right, y down); the centre of texel (row r, column c) is (c + .5, r +
    .5)."""
    column, row = tile_origin(tile)
    x = (uvs[..., 0].astype(np.float64) - column) * size
    y = (1.0 - (uvs[..., 1].astype(np.float64) - row)) * size
    return np.stack([x, y], axis=-1)


def texel_surface(triangles: TriangleMesh, size: int, tile: int = 1001, *, reach: float = 0.0) -> TexelSurface:
    """Rasterises the UV layout of one tile.

    Args:
        triangles: the mesh; UVs outside the tile are left out.
        size: side of the texture in texels.
        tile: UDIM number.
        reach: 0 takes texels whose centre lies in a triangle. 0.5 adds all texels that a triangle touches
            (conservative), 1.0 all texels that a bilinear fetch from a triangle reads. An added texel takes the
            nearest triangle, the lowest index among equals, and never replaces a texel with its centre inside.

    Returns:
        Exact in float64; the same input gives the same bits.
    """
    corners = uv_to_texels(triangles.corner_uvs, size, tile)
    columns = _Columns.of(corners)
    face_index = np.full(size * size, -1, dtype=np.int32)
    touched: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for faces, texels in _candidates(corners, size, reach):
        inside, overlaps = columns.tested(faces, texels % size + 0.5, texels // size + 0.5, reach)
        # The last write of a repeated index stands; chunks come highest face first, and so do their entries.
        face_index[texels[inside]] = faces[inside]
        if reach > 0.0:
            near = overlaps & ~inside & (face_index[texels] < 0)
            faces, texels = faces[near], texels[near]
            centers = np.stack([texels % size + 0.5, texels // size + 0.5], axis=1)
            _, distance = _nearest_in_triangle(corners[faces], centers)
            touched.append((texels, distance, faces))
    centre_hit = face_index >= 0
    if touched:
        texels, distance, faces = (np.concatenate([entry[i] for entry in touched]) for i in range(3))
        order = np.lexsort((faces, distance, texels))
        first = np.ones(len(order), dtype=bool)
        first[1:] = texels[order][1:] != texels[order][:-1]
        texels, faces = texels[order][first], faces[order][first]
        free = face_index[texels] < 0
        face_index[texels[free]] = faces[free]
    return _interpolate(triangles, corners, face_index.reshape(size, size), centre_hit.reshape(size, size))


def _candidates(
    corners: Float64[np.ndarray, "f 3 2"], size: int, reach: float
) -> Iterator[tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]]:
    """All (face, texel) whose texel centre lies in the face's bounding box grown by `reach`, highest face first."""
    low = np.ceil(corners.min(axis=1) - reach - 0.5 - _INSIDE_TOLERANCE).clip(0, size).astype(np.int64)
    high = (np.floor(corners.max(axis=1) + reach - 0.5 + _INSIDE_TOLERANCE) + 1).clip(0, size).astype(np.int64)
    extent = (high - low).clip(min=0)
    counts = extent.prod(axis=1)
    faces = np.flatnonzero((counts > 0) & (_double_area(corners) != 0.0))[::-1]
    totals = np.cumsum(counts[faces])
    start = 0
    while start < len(faces):
        before = totals[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(totals, before + _CANDIDATES_A_CHUNK, side="right")))
        chunk = faces[start:stop]
        repeated = np.repeat(chunk, counts[chunk])
        within = np.arange(len(repeated)) - np.repeat(totals[start:stop] - counts[chunk] - before, counts[chunk])
        column = low[repeated, 0] + within % extent[repeated, 0]
        row = low[repeated, 1] + within // extent[repeated, 0]
        yield repeated, row * size + column
        start = stop


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """Corners with each coordinate by itself: millions of candidates are tested so in a third of the time that short
    axes take, and by the same operations in the same order as `_barycentrics` has them."""

    x: list[Float64[np.ndarray, " f"]]
    y: list[Float64[np.ndarray, " f"]]
    area: Float64[np.ndarray, " f"]
    """Twice that of each triangle, with its sign."""

    @classmethod
    def of(cls, corners: Float64[np.ndarray, "f 3 2"]) -> _Columns:
        """Takes them apart."""
        x, y = ([np.ascontiguousarray(corners[:, corner, axis]) for corner in range(3)] for axis in (0, 1))
        return cls(x, y, _double_area(corners))

    def tested(
        self, faces: Int[np.ndarray, " n"], x: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " n"], reach: float
    ) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """Says of each point whether it lies in its triangle, and whether the triangle overlaps the open square of half
        side `reach` about it: separating axes, without the bounding box, which candidates are in."""
        own_x, own_y = [one[faces] for one in self.x], [one[faces] for one in self.y]
        area = self.area[faces]
        side = np.sign(area)
        inside, overlaps = np.ones(len(faces), dtype=bool), np.full(len(faces), reach > 0.0)
        for corner in range(3):
            following = (corner + 1) % 3
            edge_x, edge_y = own_x[following] - own_x[corner], own_y[following] - own_y[corner]
            across = edge_x * (y - own_y[corner]) - edge_y * (x - own_x[corner])
            inside &= across / area >= -_INSIDE_TOLERANCE
            if reach > 0.0:
                overlaps &= side * across + reach * (np.abs(edge_x) + np.abs(edge_y)) > 0.0
        return inside, overlaps


def _double_area(corners: Float64[np.ndarray, "n 3 2"]) -> Float64[np.ndarray, " n"]:
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _barycentrics(
    corners: Float64[np.ndarray, "n 3 2"], points: Float64[np.ndarray, "n 2"]
) -> Float64[np.ndarray, "n 3"]:
    edges = np.roll(corners, -1, axis=1) - corners
    offset = points[:, None] - corners
    areas = edges[..., 0] * offset[..., 1] - edges[..., 1] * offset[..., 0]
    # The area beside edge e (corners e, e+1) belongs to the corner across it, e+2.
    return np.roll(areas, -1, axis=1) / _double_area(corners)[:, None]


def _nearest_in_triangle(
    corners: Float64[np.ndarray, "n 3 2"], points: Float64[np.ndarray, "n 2"]
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, " n"]]:
    """Barycentrics and squared distance of the nearest point on the triangle's outline (points lie outside)."""
    rows = np.arange(len(points))
    edges = np.roll(corners, -1, axis=1) - corners
    offset = points[:, None] - corners
    along = (offset * edges).sum(axis=2) / np.maximum((edges * edges).sum(axis=2), 1e-300)
    along = along.clip(0.0, 1.0)
    squared = ((offset - along[..., None] * edges) ** 2).sum(axis=2)
    edge = squared.argmin(axis=1)
    weights = np.zeros((len(points), 3))
    weights[rows, edge] = 1.0 - along[rows, edge]
    weights[rows, (edge + 1) % 3] = along[rows, edge]
    return weights, squared[rows, edge]


def _interpolate(
    triangles: TriangleMesh,
    corners: Float64[np.ndarray, "f 3 2"],
    face_index: Int32[np.ndarray, "s s"],
    inside: Bool[np.ndarray, "s s"],
) -> TexelSurface:
    size = len(face_index)
    rows, columns = np.nonzero(face_index >= 0)
    faces = face_index[rows, columns]
    centers = np.stack([columns + 0.5, rows + 0.5], axis=1)
    weights = _barycentrics(corners[faces], centers).clip(0.0, 1.0) if len(faces) else np.zeros((0, 3))
    outside = ~inside[rows, columns]
    weights[outside] = _nearest_in_triangle(corners[faces[outside]], centers[outside])[0]
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    barycentrics, position, normal = (np.zeros((size, size, 3), dtype=np.float32) for _ in range(3))
    barycentrics[rows, columns] = weights
    position[rows, columns] = np.einsum("nk,nkd->nd", weights, triangles.positions[triangles.faces[faces]])
    mixed = np.einsum("nk,nkd->nd", weights, triangles.corner_normals[faces])
    normal[rows, columns] = mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-12)
    return TexelSurface(
        face_index=face_index, inside=inside, barycentrics=barycentrics, position=position, normal=normal
    )
