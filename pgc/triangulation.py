# SPDX-License-Identifier: Apache-2.0
"""Polygons to triangles: fans for convex polygons, ear clipping for the others; normals by corner."""

import numpy as np
from jaxtyping import Float32, Float64, Int, Int32

from pgc.mesh_data import Mesh, TriangleMesh

__all__ = ["ear_clip", "newell_normals", "project_polygon", "smooth_normals", "triangle_corners", "triangulate"]


def triangulate(mesh: Mesh) -> TriangleMesh:
    """The triangles of a mesh in file axes and units, positions counted from `mesh.origin`. Raises `MeshError`
    never: `Mesh` has been checked.

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
    """Corner indices [F,3] into the mesh's corner arrays, and the polygon [F], triangles in order of polygons."""
    sizes = mesh.polygon_sizes
    starts = np.cumsum(sizes, dtype=np.int64) - sizes
    if (sizes == 3).all():
        corners = np.arange(3 * len(sizes), dtype=np.int32).reshape(-1, 3)
        return corners, np.arange(len(sizes), dtype=np.int32)
    counts = sizes.astype(np.int64) - 2
    first = np.cumsum(counts) - counts
    corners = np.empty((int(counts.sum()), 3), dtype=np.int32)
    points = mesh.positions
    for size in np.unique(sizes).tolist():
        chosen = np.flatnonzero(sizes == size)
        local = _triangles_of_size(points, mesh.corner_positions, starts[chosen], size)
        rows = first[chosen][:, None] + np.arange(size - 2)
        corners[rows] = local + starts[chosen][:, None, None]
    polygon_index = np.repeat(np.arange(len(sizes), dtype=np.int32), counts)
    return corners, polygon_index


def _triangles_of_size(
    points: Float64[np.ndarray, "V 3"],
    corner_positions: Int32[np.ndarray, " L"],
    starts: Int[np.ndarray, " K"],
    size: int,
) -> Int[np.ndarray, "K T 3"]:
    """Local corner numbers of the triangles of K polygons with the same number of corners."""
    steps = np.arange(1, size - 1)
    fan = np.stack([np.zeros_like(steps), steps, steps + 1], axis=1)
    local = np.broadcast_to(fan, (len(starts), size - 2, 3)).copy()
    if size == 3:
        return local
    polygon = points[corner_positions[starts[:, None] + np.arange(size)]]
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
    for k in np.flatnonzero(concave).tolist():
        local[k] = ear_clip(project_polygon(polygon[k], normal[k]))
    return local


def newell_normals(polygon: Float64[np.ndarray, "K N 3"]) -> Float64[np.ndarray, "K 3"]:
    """Newell's normals (twice the area vector), of polygons that need be neither planar nor convex."""
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
    """Orthogonal coordinates in the plane of the normal, counter-clockwise."""
    length = np.linalg.norm(normal)
    axis = normal / length if length > 0 else np.array([0.0, 0.0, 1.0])
    helper = np.eye(3)[int(np.argmin(np.abs(axis)))]
    right = np.cross(helper, axis)
    right /= np.linalg.norm(right)
    return polygon @ np.stack([right, np.cross(axis, right)], axis=1)


def ear_clip(points: Float64[np.ndarray, "N 2"]) -> Int[np.ndarray, "T 3"]:
    """Triangles [N-2,3] of a simple counter-clockwise polygon (Meisters 1975: every such polygon has two ears).

    The ear with the best shape goes first. A polygon that crosses itself has no such cut; its corners are then cut
    in order, so that the number of triangles stays N - 2.
    """
    ring = np.arange(len(points))
    triangles = np.empty((len(points) - 2, 3), dtype=np.int64)
    for row in range(len(points) - 3):
        quality = _ear_quality(points[ring])
        best = int(np.argmax(quality))
        triangles[row] = np.take(ring, [best - 1, best, best + 1], mode="wrap")
        ring = np.delete(ring, best)
    triangles[-1] = ring
    return triangles


def _ear_quality(ring: Float64[np.ndarray, "M 2"]) -> Float64[np.ndarray, " M"]:
    """For each corner the shape (area over squared edges) of its ear, or a negative number where it is none."""
    before, after = np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0)
    area = _cross(ring - before, after - ring)
    edges = ((ring - before) ** 2 + (after - ring) ** 2 + (before - after) ** 2).sum(axis=1)
    quality = np.where(edges > 0, area / np.where(edges > 0, edges, 1.0), 0.0)
    count = len(ring)
    for corner in np.flatnonzero(area > 0).tolist():
        a, b, c = ring[corner - 1], ring[corner], ring[(corner + 1) % count]
        inside = (_cross(b - a, ring - a) >= 0) & (_cross(c - b, ring - b) >= 0) & (_cross(a - c, ring - c) >= 0)
        # Points at the ear's own corners (also repeated ones, as at a bridge to a hole) do not block it.
        own = (ring == a).all(axis=1) | (ring == b).all(axis=1) | (ring == c).all(axis=1)
        if (inside & ~own).any():
            quality[corner] = -1.0
    quality[area < 0] = -2.0
    return quality


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
    """Unit vertex normals: face normals weighted by the corner's angle (Thürmer and Wüthrich 1998).

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
