# SPDX-License-Identifier: Apache-2.0
"""Closed meshes from curved grid patches, each patch a UV chart of its own at one common texel density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pgc.errors import MeshError
from pgc.mesh.data import Mesh

__all__ = ["Patch", "mesh_from_patches", "pack_charts", "weld"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Patch:
    """A grid of surface points with flat coordinates in (about) the same length unit."""

    points: Float[np.ndarray, "n m 3"]
    """Z-up. Quads turn so that they face along (d points/d n) x (d points/d m)."""
    flat: Float[np.ndarray, "n m 2"]
    """Where the points lie on the chart; the first axis becomes u."""


def weld(
    points: Float[np.ndarray, "v 3"], tolerance: float = 1e-5
) -> tuple[Float[np.ndarray, "w 3"], Int[np.ndarray, " v"]]:
    """Welds points that agree to `tolerance` and returns the distinct points in order of appearance, and each one's
    index.

    Cells of a grid would tear points that lie on either side of a cell's edge; so neighbours are joined by
    distance, the first one standing for all.
    """
    from scipy.spatial import KDTree

    tree = KDTree(points)
    pairs = tree.query_pairs(tolerance, output_type="ndarray")
    first = np.arange(len(points))
    # Pairs come with i < j; a few rounds settle chains, since welded groups are tiny.
    for _ in range(4):
        np.minimum.at(first, pairs[:, 1], first[pairs[:, 0]])
        np.minimum.at(first, pairs[:, 0], first[pairs[:, 1]])
    kept, index = np.unique(first, return_inverse=True)
    return points[kept], index.astype(np.int32)


def pack_charts(sizes: Sequence[tuple[float, float]], margin: float = 0.012) -> tuple[float, Float[np.ndarray, "n 2"]]:
    """Packs upright rectangles into the unit square, shelf by shelf.

    Args:
        sizes: width and height of each chart, in one length unit.
        margin: free border around each chart, as a share of the square.

    Returns:
        One scale for all charts, and each chart's lower left corner. The largest scale that fits, by bisection.

    Raises:
        MeshError: a chart has no area.
    """
    if not sizes or min(min(size) for size in sizes) <= 0:
        raise MeshError("A chart without area cannot be packed; every patch needs a width and a height.")
    low, high = 0.0, 1.0 / max(max(size) for size in sizes)
    corners = np.zeros((len(sizes), 2))
    for _ in range(24):
        middle = 0.5 * (low + high)
        placed = _shelves([(middle * w, middle * h) for w, h in sizes], margin)
        if placed is None:
            high = middle
        else:
            low, corners = middle, placed
    return low, corners


def _shelves(sizes: Sequence[tuple[float, float]], margin: float) -> Float[np.ndarray, "n 2"] | None:
    """Lower left corners with the tallest charts first, or None where they do not fit the unit square."""
    corners = np.zeros((len(sizes), 2))
    x, y, shelf = 0.0, 0.0, 0.0
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i][1]):
        width, height = sizes[index][0] + 2 * margin, sizes[index][1] + 2 * margin
        if x + width > 1.0:
            x, y, shelf = 0.0, y + shelf, 0.0
        if width > 1.0 or y + height > 1.0:
            return None
        corners[index] = (x + margin, y + margin)
        x, shelf = x + width, max(shelf, height)
    return corners


def mesh_from_patches(name: str, patches: Sequence[Patch]) -> Mesh:
    """Makes one mesh of quads (triangles where a grid point repeats), welded across patches, with packed UVs."""
    spans = [np.ptp(patch.flat.reshape(-1, 2), axis=0) for patch in patches]
    scale, corners = pack_charts([(float(span[0]), float(span[1])) for span in spans])
    points = np.concatenate([patch.points.reshape(-1, 3) for patch in patches])
    positions, index = weld(points)
    uvs = np.concatenate(
        [
            (patch.flat.reshape(-1, 2) - patch.flat.reshape(-1, 2).min(axis=0)) * scale + corner
            for patch, corner in zip(patches, corners, strict=True)
        ]
    )
    polygons: list[list[int]] = []
    start = 0
    for patch in patches:
        polygons += _quads(patch.points.shape[0], patch.points.shape[1], start, index)
        start += patch.points.shape[0] * patch.points.shape[1]
    corner_uvs = np.array([corner for polygon in polygons for corner in polygon], np.int32)
    return Mesh(
        name=name,
        positions=positions.astype(np.float64),
        polygon_sizes=np.array([len(polygon) for polygon in polygons], np.int32),
        corner_positions=index[corner_uvs],
        uvs=uvs.astype(np.float32),
        corner_uvs=corner_uvs,
        normals=None,
        corner_normals=None,
        material_index=np.zeros(len(polygons), np.int32),
        material_names=("material",),
        up_axis="z",
    )


def _quads(rows: int, columns: int, start: int, index: Int[np.ndarray, " v"]) -> list[list[int]]:
    """Grid cells as lists of grid points; a side whose two points were welded is dropped."""
    polygons: list[list[int]] = []
    for row in range(rows - 1):
        for column in range(columns - 1):
            base = start + row * columns + column
            cell = [base, base + columns, base + columns + 1, base + 1]
            kept = [corner for at, corner in enumerate(cell) if index[corner] != index[cell[at - 1]]]
            if len(kept) >= 3:
                polygons.append(kept)
    return polygons
