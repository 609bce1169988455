# SPDX-License-Identifier: Apache-2.0
# Kernels borrow Python's syntax for a language of their own: hence no_type_check, and int(0), which is a variable.
# pyright: reportInvalidTypeForm=false
# ruff: noqa: ANN202, UP018, RUF046
"""The G-buffer by rays through NVIDIA Warp, on the CPU and on CUDA. The only module that imports warp.

One thread a pixel: one closest-hit query through the pixel's centre, one any-hit query a subsample for coverage,
and closest-hit queries through the subsamples where the centre missed.
"""

import functools
import itertools
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import fields
from typing import no_type_check

import torch
import warp as wp
from jaxtyping import Bool, Float

from pgc.cameras import Camera
from pgc.mesh_data import TriangleMesh
from pgc.rendering.gbuffer import GBuffer
from pgc.rendering.gbuffer_cache import GBufferCache, KeptView
from pgc.rendering.native_output import captured_stderr
from pgc.rendering.rasterizer import GRAZING_COSINE, NEARER, RasterizerConfig, check_triangles, check_views
from pgc.rendering.ray_hits import RayHits
from pgc.rendering.rays import pixel_rays
from pgc.rendering.tangents import tangents_of

__all__ = ["WarpRasterizer"]

_LOG = logging.getLogger(__name__)

_GRAZING = wp.constant(GRAZING_COSINE)
_NEARER = wp.constant(NEARER)
_EMPTY = wp.constant(1e-30)
_BAND_PIXELS = 4096
"""Fewer pixels than this are not worth another thread."""


# Nothing here is differentiated; without adjoints the module compiles in half the time.
wp.set_module_options({"enable_backward": False})


@wp.struct
@no_type_check
class _Geometry:
    mesh: wp.uint64
    points: wp.array(dtype=wp.vec3)
    corners: wp.array(dtype=wp.int32)
    corner_uvs: wp.array(dtype=wp.vec2)
    corner_normals: wp.array(dtype=wp.vec3)
    corner_tangents: wp.array(dtype=wp.vec4)


@wp.struct
@no_type_check
class _Views:
    rays: wp.array(dtype=wp.vec3, ndim=2)
    reach: wp.array(dtype=wp.vec2)
    height: wp.int32
    width: wp.int32
    supersampling: wp.int32


@wp.struct
@no_type_check
class _Target:
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
def _inside(geometry: _Geometry, face: int, origin: wp.vec3, direction: wp.vec3, max_t: float):
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
def _fill_surface(geometry: _Geometry, target: _Target, pixel: wp.vec3i, hit: _Hit):
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
def _trace(geometry: _Geometry, views: _Views, target: _Target, first_row: int):
    """One thread a pixel; rows of all views lie one after another, from `first_row` on."""
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
def _find_blocked(
    mesh: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    reach: float,
    blocked: wp.array(dtype=wp.bool),
):
    ray = wp.tid()
    blocked[ray] = wp.mesh_query_ray_anyhit(mesh, origins[ray], directions[ray], reach)


@wp.kernel
@no_type_check
def _find_first(
    mesh: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    reach: float,
    face: wp.array(dtype=wp.int32),
    place: wp.array(dtype=wp.vec3),
):
    """Face, and (weight of corner 0, weight of corner 1, distance)."""
    ray = wp.tid()
    query = wp.mesh_query_ray(mesh, origins[ray], directions[ray], reach)
    if query.result:
        face[ray] = query.face
        place[ray] = wp.vec3(query.u, query.v, query.t)


class WarpRasterizer:
    """Rasteriser of one fixed mesh; see `pgc.rendering.rasterizer.Rasterizer` for `render`.

    Tensors live on `device`. Rays are traced there where it is the CPU or a CUDA device that Warp can use, and on
    the CPU otherwise (Apple's mps, say), after which the buffers move. Not thread-safe.
    """

    def __init__(
        self, triangles: TriangleMesh, *, device: torch.device | str, config: RasterizerConfig | None = None
    ) -> None:
        """Copies the mesh to the tracing device and builds its search tree.

        Raises:
            MeshError: there are no triangles, or they index vertices that do not exist.
        """
        check_triangles(triangles)
        self.config = config or RasterizerConfig()
        self.device = torch.device(device)
        self._cache = GBufferCache(self.config.cache_bytes)
        self._traced_views = 0
        self._trace_device = _trace_device(self.device)
        place = wp.device_from_torch(self._trace_device)
        self._points = wp.array(triangles.positions, dtype=wp.vec3, device=place)
        self._corners = wp.array(triangles.faces.reshape(-1), dtype=wp.int32, device=place)
        self._mesh = wp.Mesh(points=self._points, indices=self._corners)
        self._geometry = _Geometry()
        self._geometry.mesh = self._mesh.id
        self._geometry.points = self._points
        self._geometry.corners = self._corners
        self._geometry.corner_uvs = wp.array(triangles.corner_uvs.reshape(-1, 2), dtype=wp.vec2, device=place)
        self._geometry.corner_normals = wp.array(triangles.corner_normals.reshape(-1, 3), dtype=wp.vec3, device=place)
        tangents = tangents_of(triangles).reshape(-1, 4)
        self._geometry.corner_tangents = wp.array(tangents, dtype=wp.vec4, device=place)

    @property
    def traced_views(self) -> int:
        """Views that were traced so far; one that comes from the cache does not count."""
        return self._traced_views

    def render(self, cameras: Sequence[Camera], resolution: tuple[int, int]) -> GBuffer:
        """See `Rasterizer.render`. A camera seen before at this resolution, in the cache, is not traced again."""
        check_views(cameras, resolution)
        keys = [(camera.key(), resolution) for camera in cameras]
        views = {key: self._cache.get(key) for key in keys}
        missing = {key: camera for key, camera in zip(keys, cameras, strict=True) if views[key] is None}
        if missing:
            traced = self._trace(list(missing.values()), resolution)
            self._cache.put(list(missing), traced)
            views.update({key: KeptView(traced, index) for index, key in enumerate(missing)})
        return _join([view for view in (views[key] for key in keys) if view is not None])

    def blocked(
        self, origins: Float[torch.Tensor, "N 3"], directions: Float[torch.Tensor, "N 3"], reach: float
    ) -> Bool[torch.Tensor, " N"]:
        """Whether rays meet the mesh within `reach` times their direction's length; see `pgc.rendering.occlusion`."""
        found = torch.zeros(len(origins), dtype=torch.bool, device=self._trace_device)
        self._ask(_find_blocked, (origins, directions), reach, [wp.from_torch(found)])
        return found.to(self.device)

    def first_hits(
        self, origins: Float[torch.Tensor, "N 3"], directions: Float[torch.Tensor, "N 3"], reach: float
    ) -> RayHits:
        """See `pgc.rendering.ray_hits.HitCaster`."""
        face = torch.full((len(origins),), -1, dtype=torch.int32, device=self._trace_device)
        place = torch.zeros((len(origins), 3), device=self._trace_device)
        self._ask(_find_first, (origins, directions), reach, [wp.from_torch(face), wp.from_torch(place, dtype=wp.vec3)])
        met = face >= 0
        weights = torch.stack([place[:, 0], place[:, 1], 1.0 - place[:, 0] - place[:, 1]], dim=1)
        return RayHits(
            face=face.to(self.device),
            barycentrics=torch.where(met[:, None], weights, 0.0).to(self.device),
            distance=torch.where(met, place[:, 2], torch.inf).to(self.device),
        )

    def _ask(
        self,
        kernel: Callable[..., None],
        rays: tuple[torch.Tensor, torch.Tensor],
        reach: float,
        answers: list[wp.array],
    ) -> None:
        """Runs a kernel of one thread a ray."""
        moved = [tensor.detach().float().contiguous().to(self._trace_device) for tensor in rays]
        arrays = [wp.from_torch(tensor, dtype=wp.vec3) for tensor in moved]
        cuda = self._trace_device.type == "cuda"
        stream = wp.stream_from_torch(torch.cuda.current_stream(self._trace_device)) if cuda else None
        with wp.ScopedStream(stream) if cuda else nullcontext():
            inputs = [self._mesh.id, *arrays, reach, *answers]
            wp.launch(kernel, len(moved[0]), inputs, device=wp.device_from_torch(self._trace_device))

    def _trace(self, cameras: Sequence[Camera], resolution: tuple[int, int]) -> GBuffer:
        self._traced_views += len(cameras)
        buffer = _empty_buffer(len(cameras), resolution, self._trace_device)
        cuda = self._trace_device.type == "cuda"
        # Warp works on torch's current stream, so that neither waits for, nor overtakes, the other.
        stream = wp.stream_from_torch(torch.cuda.current_stream(self._trace_device)) if cuda else None
        with wp.ScopedStream(stream) if cuda else nullcontext():
            self._launch(cameras, resolution, buffer)
        return buffer.to(self.device)

    def _launch(self, cameras: Sequence[Camera], resolution: tuple[int, int], buffer: GBuffer) -> None:
        place = wp.device_from_torch(self._trace_device)
        rays, reach = pixel_rays(cameras, resolution)
        views = _Views()
        views.rays = wp.array(rays, dtype=wp.vec3, device=place)
        views.reach = wp.array(reach, dtype=wp.vec2, device=place)
        views.height, views.width = resolution
        views.supersampling = self.config.supersampling
        target = _Target()
        for field in fields(buffer):
            setattr(target, field.name, wp.from_torch(getattr(buffer, field.name)))

        def launch(rows: tuple[int, int]) -> None:
            first, last = rows
            wp.launch(_trace, (last - first, resolution[1]), [self._geometry, views, target, first], device=place)

        bands = [(0, len(cameras) * resolution[0])]
        if self._trace_device.type == "cpu":
            wp.load_module(__name__, device=place)  # before any thread could
            bands = _row_bands(len(cameras) * resolution[0], resolution[1], torch.get_num_threads())
        if len(bands) == 1:
            launch(bands[0])
            return
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(launch, bands))


def _join(views: Sequence[KeptView]) -> GBuffer:
    """The views as one buffer; without a copy where they are one batch as it was rendered."""
    batch = views[0].batch
    if len(views) == len(batch) and all(view.batch is batch and view.index == i for i, view in enumerate(views)):
        return batch
    return GBuffer.cat([view.batch.select([view.index]) for view in views])


def _row_bands(rows: int, width: int, threads: int) -> list[tuple[int, int]]:
    """Splits `rows` into bands for threads: Warp runs a launch on the CPU on one thread alone."""
    # Four bands a thread even out that some rows see more of the mesh than others.
    count = max(1, min(threads * 4, rows * width // _BAND_PIXELS, rows)) if threads > 1 else 1
    edges = [rows * index // count for index in range(count + 1)]
    return list(itertools.pairwise(edges))


def _empty_buffer(views: int, resolution: tuple[int, int], device: torch.device) -> GBuffer:
    def zeros(channels: int) -> torch.Tensor:
        return torch.zeros((views, channels, *resolution), device=device)

    return GBuffer(
        face_index=torch.zeros((views, *resolution), dtype=torch.int32, device=device),
        barycentrics=zeros(3),
        uv=zeros(2),
        uv_footprint=zeros(4),
        position=zeros(3),
        normal=zeros(3),
        tangent=zeros(4),
        depth=zeros(1),
        mask=torch.zeros((views, 1, *resolution), dtype=torch.bool, device=device),
        coverage=zeros(1),
    )


def _trace_device(device: torch.device) -> torch.device:
    """Starts Warp and returns where to trace for tensors on `device`."""
    _start_warp()
    return device if device.type == "cuda" and wp.is_cuda_available() else torch.device("cpu")


@functools.cache
def _start_warp() -> None:
    """Initialises Warp once a process, without its banner and its note on machines without a GPU."""
    wp.config.log_level = wp.LOG_WARNING
    with captured_stderr() as read:
        wp.init()
    for line in read():
        if "NVIDIA CUDA driver" in line and not torch.cuda.is_available():
            _LOG.debug(line)
        else:
            _LOG.warning(line)
