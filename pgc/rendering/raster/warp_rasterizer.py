# SPDX-License-Identifier: Apache-2.0
"""The G-buffer by rays through NVIDIA Warp, on the CPU and on CUDA. Only this module and its kernels import warp."""

import functools
import itertools
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import fields

import torch
import warp as wp
from jaxtyping import Bool, Float

from pgc.cameras import Camera
from pgc.devices import with_index
from pgc.errors import ConfigError
from pgc.mesh.data import TriangleMesh
from pgc.mesh.tangents import tangents_of
from pgc.rendering.raster import warp_kernels
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.rendering.raster.gbuffer_cache import GBufferCache
from pgc.rendering.raster.native_output import captured_stderr
from pgc.rendering.raster.rasterizer import RasterizerConfig, check_triangles, check_views
from pgc.rendering.raster.ray_hits import RayHits
from pgc.rendering.raster.rays import pixel_rays
from pgc.rendering.raster.warp_kernels import Geometry, Target, Views, find_blocked, find_first, trace

__all__ = ["WarpRasterizer", "check_kernel_folder"]

_LOG = logging.getLogger(__name__)

_BAND_PIXELS = 4096
"""Fewer pixels than this are not worth another thread."""


class WarpRasterizer:
    """Rasteriser of one fixed mesh; see `pgc.rendering.raster.rasterizer.Rasterizer` for `render`.

    Tensors live on `device` ("cuda" is the current CUDA device). Rays are traced there where it is the CPU or a CUDA
    device that Warp can use, and on the CPU otherwise, after which the buffers move: Apple's MPS, AMD's ROCm (which
    torch calls "cuda"), a driver that is too old for Warp. Not thread-safe.
    """

    def __init__(
        self, triangles: TriangleMesh, *, device: torch.device | str, config: RasterizerConfig | None = None
    ) -> None:
        """Copies the mesh to the tracing device and builds its search tree.

        Raises:
            MeshError: there are no triangles, or they index vertices that do not exist.
            ConfigError: Warp cannot work with the folder of its compiled code.
        """
        check_triangles(triangles)
        self.config = config or RasterizerConfig()
        self.device = with_index(device)
        self._cache = GBufferCache(self.config.cache_bytes)
        self._traced_views = 0
        self._trace_device = _trace_device(self.device)
        place = wp.device_from_torch(self._trace_device)
        self._points = wp.array(triangles.positions, dtype=wp.vec3, device=place)
        self._corners = wp.array(triangles.faces.reshape(-1), dtype=wp.int32, device=place)
        self._mesh = wp.Mesh(points=self._points, indices=self._corners)
        self._geometry = Geometry()
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
        """Renders as `Rasterizer.render` says. A camera seen before at this resolution, in the cache, is not traced
        again."""
        check_views(cameras, resolution)
        return self._cache.render(cameras, resolution, self._trace)

    def blocked(
        self, origins: Float[torch.Tensor, "N 3"], directions: Float[torch.Tensor, "N 3"], reach: float
    ) -> Bool[torch.Tensor, " N"]:
        """Says whether rays meet the mesh within `reach` times their direction's length; see
        `pgc.rendering.occlusion`."""
        found = torch.zeros(len(origins), dtype=torch.bool, device=self._trace_device)
        self._ask(find_blocked, (origins, directions), reach, [wp.from_torch(found)])
        return found.to(self.device)

    def first_hits(
        self, origins: Float[torch.Tensor, "N 3"], directions: Float[torch.Tensor, "N 3"], reach: float
    ) -> RayHits:
        """Finds what rays meet first; see `pgc.rendering.raster.ray_hits.HitCaster`."""
        face = torch.full((len(origins),), -1, dtype=torch.int32, device=self._trace_device)
        place = torch.zeros((len(origins), 3), device=self._trace_device)
        self._ask(find_first, (origins, directions), reach, [wp.from_torch(face), wp.from_torch(place, dtype=wp.vec3)])
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
        views = Views()
        views.rays = wp.array(rays, dtype=wp.vec3, device=place)
        views.reach = wp.array(reach, dtype=wp.vec2, device=place)
        views.height, views.width = resolution
        views.supersampling = self.config.supersampling
        target = Target()
        for field in fields(buffer):
            setattr(target, field.name, wp.from_torch(getattr(buffer, field.name)))

        def launch(rows: tuple[int, int]) -> None:
            """Traces a band of rows."""
            first, last = rows
            wp.launch(trace, (last - first, resolution[1]), [self._geometry, views, target, first], device=place)

        bands = [(0, len(cameras) * resolution[0])]
        if self._trace_device.type == "cpu":
            wp.load_module(warp_kernels.__name__, device=place)  # before any thread could
            bands = _row_bands(len(cameras) * resolution[0], resolution[1], torch.get_num_threads())
        if len(bands) == 1:
            launch(bands[0])
            return
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(launch, bands))


def _row_bands(rows: int, width: int, threads: int) -> list[tuple[int, int]]:
    """Splits `rows` into bands for threads: Warp runs a launch on the CPU on one thread alone."""
    # Four bands a thread even out that some rows see more of the mesh than others.
    count = max(1, min(threads * 4, rows * width // _BAND_PIXELS, rows)) if threads > 1 else 1
    edges = [rows * index // count for index in range(count + 1)]
    return list(itertools.pairwise(edges))


def _empty_buffer(views: int, resolution: tuple[int, int], device: torch.device) -> GBuffer:
    def zeros(channels: int) -> torch.Tensor:
        """Returns a zero image of so many channels."""
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
    """Starts Warp and returns where to trace for tensors on `device`, which has an index."""
    _start_warp()
    if device.type != "cuda":
        return torch.device("cpu")
    # torch and Warp count the same cards, but a driver may be too old for Warp alone, and ROCm is none of Warp's.
    if torch.version.hip is None and (device.index or 0) < len(wp.get_cuda_devices()):
        return device
    _say_rays_on_cpu(str(device))
    return torch.device("cpu")


@functools.cache
def _say_rays_on_cpu(device: str) -> None:
    """Once a process and device."""
    if torch.version.hip is not None:
        _LOG.warning("Rays are traced on the CPU, since Warp knows no AMD cards; all else runs on %s.", device)
    else:
        _LOG.warning(
            "Rays are traced on the CPU, since Warp cannot use %s; update the NVIDIA driver to trace there.", device
        )


def check_kernel_folder(folder: str) -> None:
    """Raises `ConfigError` for a folder whose name Warp's compiler, which knows UTF-8 alone, cannot be told."""
    try:
        folder.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"The rasteriser keeps compiled code in {folder!a}, whose letters this locale cannot write; "
            "set LC_ALL=C.UTF-8, or WARP_CACHE_PATH to a folder with a plain name."
        ) from error


@functools.cache
def _start_warp() -> None:
    """Initialises Warp once a process, without its banner and its note on machines without a GPU."""
    wp.config.log_level = wp.LOG_WARNING
    with captured_stderr() as read:
        wp.init()
    check_kernel_folder(str(wp.config.kernel_cache_dir))
    for line in read():
        if "NVIDIA CUDA driver" in line and not torch.cuda.is_available():
            _LOG.debug(line)
        else:
            _LOG.warning(line)
