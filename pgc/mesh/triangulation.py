# SPDX-License-Identifier: Apache-2.0
"""Polygons to triangles: fans for convex polygons, ear clipping for the others; normals by corner."""

import numpy as np
from jaxtyping import Float32, Float64, Int, Int32

from pgc.errors import MeshError
from pgc.mesh.data import Mesh, TriangleMesh

__all__ = ["ear_clip", "newell_normals", "project_polygon", "smooth_normals", "triangle_corners", "triangulate"]


_MOST_CORNERS = 8_000


def triangulate(mesh: Mesh) -> TriangleMesh:
    """Cuts a mesh into triangles in file axes and units, positions counted from `mesh.origin`. Raises `MeshError` for a
    concave polygon of more than 8,000 corners, which would take minutes.

    Positions that the file repeats because its format knows only one index for everything (glTF, PLY) become one
    where they are equal: otherwise no face would have a neighbour across a UV seam.
    """
    corner_index, polygon_index = triangle_corners(mesh)
    positions, corner_positions = _weld(mesh)
    faces = corner_positions[corner_index]
    if mesh.uvs is not None and mesh.corner_uvs is not None and len(mesh.uvs):
        uv_index = mesh.corner_uvs[corner_index]
        corner_uvs = np.where(uv_index[..., None] >= 0, mesh.uvs[np.maximum(uv_index, 0)], np.float32(0.0))
    else:
        corner_uvs = np.zeros((*faces.shape, 2), dtype=np.float32)
    return TriangleMesh(
        positions=positions,
        faces=faces,
        corner_uvs=corner_uvs,
        corner_normals=_corner_normals(mesh, corner_index, positions, faces),
        polygon_index=polygon_index,
        corner_index=corner_index,
        material_index=mesh.material_index[polygon_index],
    )


def triangle_corners(mesh: Mesh) -> tuple[Int32[np.ndarray, "F 3"], Int32[np.ndarray, " F"]]:
    """Returns corner indices [F,3] into the mesh's corner arrays, and the polygon [F], triangles in order of
    polygons."""
    sizes = mesh.polygon_sizes
    starts = np.cumsum(sizes, dtype=np.int64) - sizes
    if (sizes == 3).all():
        corners = np.arange(3 * len(sizes), dtype=np.int32).reshape(-1, 3)
        return corners, np.arange(len(sizes), dtype=np.int32)
    counts = sizes.astype(np.int64) - 2
    first = np.cumsum(counts) - counts
    corners = np.empty((int(counts.sum()), 3), dtype=np.int32)
    for size in np.unique(sizes).tolist():
        chosen = np.flatnonzero(sizes == size)
        local = _triangles_of_size(mesh, starts[chosen], size)
        rows = first[chosen][:, None] + np.arange(size - 2)
        corners[rows] = local + starts[chosen][:, None, None]
    polygon_index = np.repeat(np.arange(len(sizes), dtype=np.int32), counts)
    return corners, polygon_index


def _triangles_of_size(
    mesh: Mesh,
    starts: Int[np.ndarray, " K"],
    size: int,
) -> Int[np.ndarray, "K T 3"]:
    """Local corner numbers of the triangles of K polygons with the same number of corners."""
    steps = np.arange(1, size - 1)
    fan = np.stack([np.zeros_like(steps), steps, steps + 1], axis=1)
    local = np.broadcast_to(fan, (len(starts), size - 2, 3)).copy()
    if size == 3:
        return local
    polygon = mesh.positions[mesh.corner_positions[starts[:, None] + np.arange(size)]]
    normal = newell_normals(polygon)
    if size == 4:
        # The other diagonal where the first leaves the quad: the fan folds over at corner 0 or 2.
        turned = _signed_areas(polygon, local, normal).min(axis=1) <= 0.0
        other = np.array([[0, 1, 3], [1, 2, 3]])
        better = _signed_areas(polygon, np.broadcast_to(other, local.shape), normal).min(axis=1) > 0.0
        local[turned & better] = other
        return local
    before, after = np.roll(polygon, 1, axis=1), np.roll(polygon, -1, axis=1)
    turns = np.einsum("kni,ki->kn", np.cross(polygon - before, after - polygon), normal)
    # Straight corners count as concave: a fan would make triangles without area there.
    concave = (turns <= 1e-9 * np.abs(turns).max(axis=1, keepdims=True)).any(axis=1)
    if size > _MOST_CORNERS and concave.any():
        raise MeshError(
            f"{mesh.name}: a face that is not convex has {size:,} corners, expected at most {_MOST_CORNERS:,}; "
            "triangulate the mesh first (Blender: Face > Triangulate Faces)."
        )
    for k in np.flatnonzero(concave).tolist():
        local[k] = ear_clip(project_polygon(polygon[k], normal[k]))
    return local


def newell_normals(polygon: Float64[np.ndarray, "K N 3"]) -> Float64[np.ndarray, "K 3"]:
    """Computes Newell's normals (twice the area vector), of polygons that need be neither planar nor convex."""
    centred = polygon - polygon.mean(axis=1, keepdims=True)
    return np.cross(centred, np.roll(centred, -1, axis=1)).sum(axis=1)


def _signed_areas(
    polygon: Float64[np.ndarray, "K N 3"], local: Int[np.ndarray, "K T 3"], normal: Float64[np.ndarray, "K 3"]
) -> Float64[np.ndarray, "K T"]:
    """Areas of triangles seen along the normals, times a positive factor; negative where a triangle is turned."""
    rows = np.arange(len(polygon))[:, None]
    a, b, c = (polygon[rows, local[:, :, i]] for i in range(3))
    return np.einsum("kti,ki->kt", np.cross(b - a, c - a), normal)


def project_polygon(
    polygon: Float64[np.ndarray, "N 3"], normal: Float64[np.ndarray, " 3"]
) -> Float64[np.ndarray, "N 2"]:
    """Projects a polygon to orthogonal coordinates in the plane of the normal, counter-clockwise."""
    length = np.linalg.norm(normal)
    axis = normal / length if length > 0 else np.array([0.0, 0.0, 1.0])
    helper = np.eye(3)[int(np.argmin(np.abs(axis)))]
    right = np.cross(helper, axis)
    right /= np.linalg.norm(right)
    return polygon @ np.stack([right, np.cross(axis, right)], axis=1)


def ear_clip(points: Float64[np.ndarray, "N 2"]) -> Int[np.ndarray, "T 3"]:
    """Cuts the triangles [N-2,3] out of a simple counter-clockwise polygon (Meisters 1975: every such polygon has two
    ears).

    The ear with the best shape goes first. A polygon that crosses itself has no such cut; its corners are then cut
    in order, so that the number of triangles stays N - 2.
    """
    ring = _Ring(points)
    triangles = np.empty((len(points) - 2, 3), dtype=np.int64)
    for row in range(len(triangles) - 1):
        triangles[row] = ring.cut(int(np.argmax(ring.quality)))
    triangles[-1] = np.flatnonzero(ring.left)
    return triangles


class _Ring:
    """What is left of a polygon while its ears are cut.

    `quality` is the shape (area over squared edges) of the ear at each corner; -1 where another point blocks it, -2
    where the corner is concave, minus infinity where it is cut off already. Cutting a corner changes its two
    neighbours, and those that it alone was known to block: only these are looked at again, which makes long outlines
    possible.
    """

    def __init__(self, points: Float64[np.ndarray, "N 2"]) -> None:
        count = len(points)
        self._points = points
        self._before, self._after = np.roll(np.arange(count), 1), np.roll(np.arange(count), -1)
        self._blocker = np.full(count, -1)
        self.left = np.ones(count, dtype=bool)
        self.quality = np.empty(count)
        for corner in range(count):
            self._measure(corner)

    def cut(self, corner: int) -> tuple[int, int, int]:
        """Cuts the ear at a corner off and returns its triangle."""
        before, after = int(self._before[corner]), int(self._after[corner])
        self._after[before], self._before[after] = after, before
        self.left[corner] = False
        self.quality[corner], self._blocker[corner] = -np.inf, -1
        for other in {before, after, *np.flatnonzero(self._blocker == corner).tolist()}:
            self._measure(other)
        return before, corner, after

    def _measure(self, corner: int) -> None:
        a, b, c = self._points[[self._before[corner], corner, self._after[corner]]]
        area = float((b - a)[0] * (c - b)[1] - (b - a)[1] * (c - b)[0])
        edges = float(((b - a) ** 2 + (c - b) ** 2 + (a - c) ** 2).sum())
        self._blocker[corner] = -1
        self.quality[corner] = -2.0 if area < 0.0 else area / edges if edges > 0.0 else 0.0
        if area <= 0.0:
            return
        low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
        near = np.flatnonzero(self.left & ((self._points >= low) & (self._points <= high)).all(axis=1))
        others = self._points[near]
        inside = _cross(b - a, others - a) >= 0
        inside &= (_cross(c - b, others - b) >= 0) & (_cross(a - c, others - c) >= 0)
        # Points at the ear's own corners (also repeated ones, as at a bridge to a hole) do not block it.
        inside &= ~((others == a).all(axis=1) | (others == b).all(axis=1) | (others == c).all(axis=1))
        blockers = near[inside]
        if len(blockers):
            self.quality[corner], self._blocker[corner] = -1.0, blockers[-1]


def _cross(a: Float64[np.ndarray, "M 2"] | Float64[np.ndarray, " 2"], b: Float64[np.ndarray, "M 2"]) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _weld(mesh: Mesh) -> tuple[Float32[np.ndarray, "W 3"], Int32[np.ndarray, " L"]]:
    """Positions and corner indices, equal positions made one where the mesh's format had to repeat them."""
    local = (mesh.positions - mesh.origin).astype(np.float32)
    attributes = [indices for indices in (mesh.corner_uvs, mesh.corner_normals) if indices is not None]
    if not any(np.array_equal(indices, mesh.corner_positions) for indices in attributes):
        return local, mesh.corner_positions
    # + 0.0 turns -0.0 into 0.0, which is the same place with other bits.
    keys = np.ascontiguousarray(local + np.float32(0.0)).view(np.dtype((np.void, 12))).ravel()
    _, kept, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(kept)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    remap = rank[inverse].astype(np.int32)
    return local[kept[order]], remap[mesh.corner_positions]


def _corner_normals(
    mesh: Mesh,
    corner_index: Int32[np.ndarray, "F 3"],
    positions: Float32[np.ndarray, "V 3"],
    faces: Int32[np.ndarray, "F 3"],
) -> Float32[np.ndarray, "F 3 3"]:
    """Unit normals by corner: given where usable, smooth elsewhere."""
    if mesh.normals is None or mesh.corner_normals is None or len(mesh.normals) == 0:
        return smooth_normals(positions, faces)[faces]
    lengths = np.linalg.norm(mesh.normals.astype(np.float64), axis=1)
    usable = np.isfinite(lengths) & (lengths > 1e-12)
    unit = np.where(usable[:, None], mesh.normals / np.where(usable, lengths, 1.0)[:, None], 0.0).astype(np.float32)
    index = mesh.corner_normals[corner_index]
    given = (index >= 0) & usable[np.maximum(index, 0)]
    normals = unit[np.maximum(index, 0)]
    if given.all():
        return normals
    return np.where(given[..., None], normals, smooth_normals(positions, faces)[faces])


def smooth_normals(
    positions: Float32[np.ndarray, "V 3"], faces: Int32[np.ndarray, "F 3"]
) -> Float32[np.ndarray, "V 3"]:
    """Computes unit vertex normals: face normals weighted by the corner's angle (Thürmer and Wüthrich 1998).

    A vertex of no face, or of degenerate faces only, gets +Z.
    """
    points = positions.astype(np.float64)
    corners = points[faces]
    following = np.roll(corners, -1, axis=1) - corners
    length = np.linalg.norm(following, axis=2)
    face_normal = np.cross(following[:, 0], following[:, 1])
    area = np.linalg.norm(face_normal, axis=1)
    face_normal /= np.where(area > 0, area, 1.0)[:, None]
    previous = np.roll(following, 1, axis=1)
    scale = length * np.roll(length, 1, axis=1)
    cosine = -(following * previous).sum(axis=2) / np.where(scale > 0, scale, 1.0)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    flat = faces.ravel()
    total = np.stack(
        [np.bincount(flat, (angle * face_normal[:, None, i]).ravel(), minlength=len(points)) for i in range(3)], axis=1
    )
    norm = np.linalg.norm(total, axis=1)
    total[norm < 1e-12] = (0.0, 0.0, 1.0)
    return (total / np.where(norm < 1e-12, 1.0, norm)[:, None]).astype(np.float32)
