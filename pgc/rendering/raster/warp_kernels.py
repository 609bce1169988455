# SPDX-License-Identifier: Apache-2.0
# Kernels borrow Python's syntax for a language of their own: hence no_type_check, and int(0), which is a variable.
# pyright: reportInvalidTypeForm=false
# ruff: noqa: ANN201, ANN202, UP018, RUF046
"""The rasteriser's kernels in NVIDIA Warp's language; `warp_rasterizer` runs them.

One thread a pixel: one closest-hit query through the pixel's centre, one any-hit query a subsample for coverage,
and closest-hit queries through the subsamples where the centre missed.
"""

from typing import no_type_check

import warp as wp

from pgc.rendering.raster.rasterizer import GRAZING_COSINE, NEARER

__all__ = ["Geometry", "Target", "Views", "find_blocked", "find_first", "trace"]

_GRAZING = wp.constant(GRAZING_COSINE)
_NEARER = wp.constant(NEARER)
_EMPTY = wp.constant(1e-30)


# Nothing here is differentiated; without adjoints the module compiles in half the time.
wp.set_module_options({"enable_backward": False})


@wp.struct
@no_type_check
class Geometry:
    """The mesh as kernels read it."""

    mesh: wp.uint64
    points: wp.array(dtype=wp.vec3)
    corners: wp.array(dtype=wp.int32)
    corner_uvs: wp.array(dtype=wp.vec2)
    corner_normals: wp.array(dtype=wp.vec3)
    corner_tangents: wp.array(dtype=wp.vec4)


@wp.struct
@no_type_check
class Views:
    """The cameras as kernels read them."""

    rays: wp.array(dtype=wp.vec3, ndim=2)
    reach: wp.array(dtype=wp.vec2)
    height: wp.int32
    width: wp.int32
    supersampling: wp.int32


@wp.struct
@no_type_check
class Target:
    """The G-buffer that `trace` writes."""

    face_index: wp.array(dtype=wp.int32, ndim=3)
    barycentrics: wp.array(dtype=wp.float32, ndim=4)
    uv: wp.array(dtype=wp.float32, ndim=4)
    uv_footprint: wp.array(dtype=wp.float32, ndim=4)
    position: wp.array(dtype=wp.float32, ndim=4)
    normal: wp.array(dtype=wp.float32, ndim=4)
    tangent: wp.array(dtype=wp.float32, ndim=4)
    depth: wp.array(dtype=wp.float32, ndim=4)
    mask: wp.array(dtype=wp.bool, ndim=4)
    coverage: wp.array(dtype=wp.float32, ndim=4)


@wp.struct
@no_type_check
class _Hit:
    face: wp.int32
    u: wp.float32
    v: wp.float32
    t: wp.float32
    direction: wp.vec3
    step_x: wp.vec3
    step_y: wp.vec3


@wp.func
@no_type_check
def _closest(mesh: wp.uint64, origin: wp.vec3, direction: wp.vec3, max_t: float):
    """The nearest hit of a ray; its face is -1 where there is none."""
    hit = _Hit()
    hit.face = -1
    hit.direction = direction
    query = wp.mesh_query_ray(mesh, origin, direction, max_t)
    if query.result:
        hit.face = query.face
        hit.u = query.u
        hit.v = query.v
        hit.t = query.t
    return hit


@wp.func
@no_type_check
def _inside(geometry: Geometry, face: int, origin: wp.vec3, direction: wp.vec3, max_t: float):
    """Whether a ray hits one given triangle."""
    p0 = geometry.points[geometry.corners[face * 3]]
    e1 = geometry.points[geometry.corners[face * 3 + 1]] - p0
    e2 = geometry.points[geometry.corners[face * 3 + 2]] - p0
    normal = wp.cross(e1, e2)
    facing = wp.dot(normal, direction)
    if facing == 0.0:
        return False
    t = wp.dot(normal, p0 - origin) / facing
    offset = origin + direction * t - p0
    area = wp.dot(normal, normal)
    v = wp.dot(wp.cross(offset, e2), normal)
    w = wp.dot(wp.cross(e1, offset), normal)
    return t >= 0.0 and t < max_t and v >= 0.0 and w >= 0.0 and v + w <= area


@wp.func
@no_type_check
def _write(target: wp.array(dtype=wp.float32, ndim=4), view: int, row: int, column: int, value: wp.vec3):
    for channel in range(3):
        target[view, channel, row, column] = value[channel]


@wp.func
@no_type_check
def _footprint(
    e1: wp.vec3, e2: wp.vec3, normal: wp.vec3, direction: wp.vec3, step: wp.vec3, uv1: wp.vec2, uv2: wp.vec2
):
    """Change of uv where the ray, moved by `step` at the hit, meets the triangle's plane (Igehy 1999, eq. 10-12)."""
    facing = wp.dot(normal, direction)
    floor = _GRAZING * wp.length(normal) * wp.length(direction)
    if wp.abs(facing) < floor:
        facing = wp.where(facing < 0.0, -floor, floor)
    moved = step - direction * (wp.dot(normal, step) / facing)
    area = wp.max(wp.dot(normal, normal), _EMPTY)
    return (uv1 * wp.dot(wp.cross(moved, e2), normal) + uv2 * wp.dot(wp.cross(e1, moved), normal)) / area


@wp.func
@no_type_check
def _visible_normal(smooth: wp.vec3, flat: wp.vec3, direction: wp.vec3):
    """The smooth normal on the side of `flat`, which faces the viewer, and never beyond the horizon."""
    toward = wp.normalize(direction)
    normal = smooth
    if wp.dot(normal, flat) < 0.0:
        normal = -normal
    beyond = wp.dot(normal, toward)
    if beyond > 0.0:
        normal = normal - toward * beyond
    if wp.length_sq(normal) < 1e-12:
        normal = flat
    return wp.normalize(normal)


@wp.func
@no_type_check
def _tangent(corners: wp.vec4, smooth: wp.vec3, normal: wp.vec3):
    """(xyz, sign) from the corners' weighted sum, across the normal; any such direction where there is none."""
    along = wp.vec3(corners[0], corners[1], corners[2])
    tangent = along - normal * wp.dot(along, normal)
    sign = wp.where(corners[3] < 0.0, -1.0, 1.0)
    if wp.dot(smooth, normal) < 0.0:
        sign = -sign  # seen from behind, the normal has turned and the bitangent has not
    if wp.length(tangent) <= 1e-4:
        axis = wp.where(wp.abs(normal[0]) < 0.6, wp.vec3(1.0, 0.0, 0.0), wp.vec3(0.0, 1.0, 0.0))
        tangent = axis - normal * wp.dot(axis, normal)
        sign = float(1.0)
    tangent = wp.normalize(tangent)
    return wp.vec4(tangent[0], tangent[1], tangent[2], sign)


@wp.func
@no_type_check
def _fill_surface(geometry: Geometry, target: Target, pixel: wp.vec3i, hit: _Hit):
    """Writes where the pixel's surface is: position, texture coordinates and their footprint, normal, tangent."""
    view, row, column = pixel[0], pixel[1], pixel[2]
    corner = hit.face * 3
    u, v = hit.u, hit.v
    w = 1.0 - u - v
    _write(target.barycentrics, view, row, column, wp.vec3(u, v, w))
    p0 = geometry.points[geometry.corners[corner]]
    e1 = geometry.points[geometry.corners[corner + 1]] - p0
    e2 = geometry.points[geometry.corners[corner + 2]] - p0
    _write(target.position, view, row, column, p0 + e1 * v + e2 * w)
    uv0 = geometry.corner_uvs[corner]
    uv1 = geometry.corner_uvs[corner + 1] - uv0
    uv2 = geometry.corner_uvs[corner + 2] - uv0
    uv = uv0 + uv1 * v + uv2 * w
    area = wp.cross(e1, e2)
    by_x = _footprint(e1, e2, area, hit.direction, hit.step_x, uv1, uv2)
    by_y = _footprint(e1, e2, area, hit.direction, hit.step_y, uv1, uv2)
    for channel in range(2):
        target.uv[view, channel, row, column] = uv[channel]
        target.uv_footprint[view, channel, row, column] = by_x[channel]
        target.uv_footprint[view, channel + 2, row, column] = by_y[channel]
    flat = wp.normalize(area)
    if wp.dot(flat, hit.direction) > 0.0:
        flat = -flat
    n0, n1, n2 = (
        geometry.corner_normals[corner],
        geometry.corner_normals[corner + 1],
        geometry.corner_normals[corner + 2],
    )
    smooth = n0 * u + n1 * v + n2 * w
    normal = _visible_normal(smooth, flat, hit.direction)
    _write(target.normal, view, row, column, normal)
    t0, t1 = geometry.corner_tangents[corner], geometry.corner_tangents[corner + 1]
    tangent = _tangent(t0 * u + t1 * v + geometry.corner_tangents[corner + 2] * w, smooth, normal)
    for channel in range(4):
        target.tangent[view, channel, row, column] = tangent[channel]


@wp.kernel
@no_type_check
def trace(geometry: Geometry, views: Views, target: Target, first_row: int):
    """Traces one pixel a thread; rows of all views lie one after another, from `first_row` on."""
    line, column = wp.tid()
    view = (first_row + line) // views.height
    row = (first_row + line) % views.height
    origin_x, origin_y = views.rays[view, 1], views.rays[view, 2]
    direction_x, direction_y = views.rays[view, 4], views.rays[view, 5]
    x, y = float(column) + 0.5, float(row) + 0.5
    origin = views.rays[view, 0] + origin_x * x + origin_y * y
    direction = views.rays[view, 3] + direction_x * x + direction_y * y
    max_t = views.reach[view][1]

    hit = _closest(geometry.mesh, origin, direction, max_t)
    centre = hit.face
    grid = views.supersampling
    hits = int(0)
    for sample in range(grid * grid):
        sx = (float(sample % grid) + 0.5) / float(grid) - 0.5
        sy = (float(sample // grid) + 0.5) / float(grid) - 0.5
        start = origin + origin_x * sx + origin_y * sy
        along = direction + direction_x * sx + direction_y * sy
        if centre >= 0:
            # Most subsamples hit the centre's triangle: asking it first saves a walk down the tree.
            if _inside(geometry, centre, start, along, max_t) or wp.mesh_query_ray_anyhit(
                geometry.mesh, start, along, max_t
            ):
                hits += 1
        else:
            nearest = _closest(geometry.mesh, start, along, max_t)
            if nearest.face >= 0:
                hits += 1
                if hit.face < 0 or nearest.t < hit.t * _NEARER:
                    hit = nearest
    target.coverage[view, 0, row, column] = float(hits) / float(grid * grid)
    target.face_index[view, row, column] = hit.face
    if hit.face >= 0:
        hit.step_x = origin_x + direction_x * hit.t
        hit.step_y = origin_y + direction_y * hit.t
        target.mask[view, 0, row, column] = True
        target.depth[view, 0, row, column] = views.reach[view][0] + hit.t
        _fill_surface(geometry, target, wp.vec3i(view, row, column), hit)


@wp.kernel
@no_type_check
def find_blocked(
    mesh: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    reach: float,
    blocked: wp.array(dtype=wp.bool),
):
    """Says whether anything is met within `reach`."""
    ray = wp.tid()
    blocked[ray] = wp.mesh_query_ray_anyhit(mesh, origins[ray], directions[ray], reach)


@wp.kernel
@no_type_check
def find_first(
    mesh: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    reach: float,
    face: wp.array(dtype=wp.int32),
    place: wp.array(dtype=wp.vec3),
):
    """Finds the first face that is met, and (weight of corner 0, weight of corner 1, distance)."""
    ray = wp.tid()
    query = wp.mesh_query_ray(mesh, origins[ray], directions[ray], reach)
    if query.result:
        face[ray] = query.face
        place[ray] = wp.vec3(query.u, query.v, query.t)
