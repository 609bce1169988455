# SPDX-License-Identifier: Apache-2.0
"""Checks of mesh arrays. Each raises one `MeshError` that says what was got, what was expected and what to do.

They work on plain arrays so that file readers, the wire and tests share them. `source` is the file or mesh name
that a message starts with.
"""

import numpy as np
from jaxtyping import Float32, Float64, Int32

from pgc.errors import MeshError

__all__ = [
    "LARGEST_POSITION",
    "MAX_TRIANGLES",
    "MAX_TRIANGLES_TO_UNWRAP",
    "check_finite",
    "check_indices",
    "check_polygons",
    "check_range",
    "check_triangle_count",
    "check_triangle_total",
    "triangle_areas",
]

MAX_TRIANGLES = 2_000_000
"""A run optimises at most so many triangles."""

MAX_TRIANGLES_TO_UNWRAP = 200_000
"""Above this count an unwrap takes minutes, so it is done only when asked for."""


LARGEST_POSITION = 1e30
"""Beyond it products of float32 positions overflow."""


def check_finite(source: str, what: str, values: np.ndarray) -> None:
    """Raises `MeshError` where a [N,C] array of `what` ("vertex position", "UV") holds NaN or infinity."""
    finite = np.isfinite(values)
    if not finite.all():
        bad_rows = np.flatnonzero(~finite.all(axis=1))
        row = int(bad_rows[0])
        raise MeshError(
            f"{source}: {bad_rows.size} {what}(s) are NaN or infinite, first number {row} {values[row].tolist()}, "
            "expected finite numbers; repair the mesh (Blender: Mesh > Clean Up) and export it again."
        )


def check_range(source: str, positions: Float64[np.ndarray, "V 3"]) -> None:
    """Raises `MeshError` where a coordinate is beyond 1e30: squares of such numbers overflow float32."""
    largest = float(np.abs(positions).max(initial=0.0))
    if largest > LARGEST_POSITION:
        raise MeshError(
            f"{source}: a vertex position is {largest:.3g} units away, expected at most {LARGEST_POSITION:.0g}; "
            "the file is damaged, or its unit is far too small: export it again."
        )


def check_indices(source: str, what: str, indices: Int32[np.ndarray, " L"], count: int, *, optional: bool) -> None:
    """Raises `MeshError` where an index of `what` is outside 0..count-1 (−1 means "none" where `optional`)."""
    if indices.size == 0:
        return
    lowest, highest = int(indices.min()), int(indices.max())
    floor = -1 if optional else 0
    if lowest < floor or highest >= count:
        got = highest if highest >= count else lowest
        raise MeshError(
            f"{source}: a face points to {what} number {got}, but there are {count} (counted from 0); "
            "the file is damaged or cut off: export it again."
        )


def check_polygons(source: str, sizes: Int32[np.ndarray, " P"], corner_count: int) -> None:
    """Raises `MeshError` where there is no polygon, one has fewer than 3 corners, or the corners do not add up."""
    if sizes.size == 0:
        raise MeshError(f"{source}: the mesh has no faces, expected at least one; export the surface, not only points.")
    if int(sizes.min()) < 3:
        bad = int(np.argmin(sizes))
        raise MeshError(
            f"{source}: face number {bad} has {int(sizes[bad])} corner(s), expected at least 3; "
            "the file is damaged or cut off: export it again."
        )
    total = int(sizes.sum(dtype=np.int64))
    if total != corner_count:
        raise MeshError(
            f"{source}: the faces have {total} corners together but {corner_count} corner indices were given; "
            "the mesh is damaged: export it again."
        )


def check_triangle_count(source: str, sizes: Int32[np.ndarray, " P"]) -> None:
    """Raises `MeshError` above `MAX_TRIANGLES` triangles (an n-gon counts n - 2)."""
    check_triangle_total(source, int((sizes.astype(np.int64) - 2).sum()))


def check_triangle_total(source: str, count: int) -> None:
    """Raises `MeshError` above `MAX_TRIANGLES` triangles, also before there are any arrays."""
    if count > MAX_TRIANGLES:
        raise MeshError(
            f"{source}: the mesh has {count:,} triangles, at most {MAX_TRIANGLES:,} can be textured; "
            "reduce it (Blender: Decimate modifier) or split it into parts."
        )


def triangle_areas(positions: Float32[np.ndarray, "V 3"], faces: Int32[np.ndarray, "F 3"]) -> np.ndarray:
    """Returns the areas [F] float64 of triangles, in the square of the positions' unit."""
    points = positions.astype(np.float64)
    a, b, c = points[faces[:, 0]], points[faces[:, 1]], points[faces[:, 2]]
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
