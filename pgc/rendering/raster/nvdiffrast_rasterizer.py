# SPDX-License-Identifier: Apache-2.0
"""The G-buffer by nvdiffrast, where the user has installed it. Only this module knows nvdiffrast.

nvdiffrast (NVIDIA) is faster than rays where a mesh is drawn on an NVIDIA card, but its licence allows research and
evaluation only. So it is nothing that this package needs or brings along. It is asked for two things: which triangle
a pixel sees, and where in it. Its conventions, from its documentation: positions in clip space, row 0 at the bottom,
an image of (u, v, z/w, triangle + 1) where u and v are the weights of a triangle's first and second corner.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from pgc.cameras import Camera
from pgc.devices import with_index
from pgc.errors import ConfigError
from pgc.mesh.data import TriangleMesh
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.rendering.raster.gbuffer_cache import GBufferCache
from pgc.rendering.raster.hit_surface import CornerTables, SeenFaces, surface_of
from pgc.rendering.raster.rasterizer import NEARER, RasterizerConfig, check_triangles, check_views
from pgc.rendering.raster.ray_hits import RayHits
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer

__all__ = [
    "LICENCE",
    "NvdiffrastError",
    "NvdiffrastModule",
    "NvdiffrastRasterizer",
    "check_nvdiffrast",
    "clip_matrix",
    "is_nvdiffrast_installed",
    "open_nvdiffrast",
    "transformed",
]

LICENCE = "its licence allows research and evaluation only, no commercial use"
_PACKAGE, _MODULE = "nvdiffrast", "nvdiffrast.torch"
_MOST_TRIANGLES = (1 << 24) - 1
"""Above this float32, in which the triangle's number comes, cannot tell neighbours apart."""
_MARGIN = 1e-3
"""The mesh's range of depths is widened by this share."""


class NvdiffrastError(ConfigError):
    """nvdiffrast cannot draw here; the message says why."""


@runtime_checkable
class NvdiffrastModule(Protocol):
    """What of `nvdiffrast.torch` is used."""

    def RasterizeCudaContext(self, device: torch.device) -> object:
        """Makes the state that drawing on a device needs."""
        ...

    def rasterize(
        self, context: object, positions: Tensor, triangles: Tensor, *, resolution: tuple[int, int], grad_db: bool
    ) -> tuple[Tensor, Tensor]:
        """Draws triangles; returns (u, v, z/w, triangle + 1), and derivatives."""
        ...

    def antialias(self, color: Tensor, rast: Tensor, pos: Tensor, tri: Tensor) -> Tensor:
        """Blends a drawn picture, channels last, across its outlines; differentiable by picture and positions."""
        ...


def is_nvdiffrast_installed() -> bool:
    """Says whether the package is there; it may still not work."""
    return importlib.util.find_spec(_PACKAGE) is not None


def open_nvdiffrast(device: torch.device) -> tuple[NvdiffrastModule, object]:
    """Returns nvdiffrast and its state on a device, for those who draw what moves.

    Raises:
        NvdiffrastError: nvdiffrast is not there, or cannot draw on this device.
    """
    return _open(device)


def check_nvdiffrast(device: torch.device) -> None:
    """Raises `NvdiffrastError` where nvdiffrast cannot draw on a device."""
    _open(device)


class NvdiffrastRasterizer:
    """Rasteriser of one fixed mesh on an NVIDIA card; see `pgc.rendering.raster.rasterizer.Rasterizer` for `render`.

    Rays, which occlusion asks for, are Warp's. Not thread-safe.
    """

    def __init__(
        self, triangles: TriangleMesh, *, device: torch.device | str, config: RasterizerConfig | None = None
    ) -> None:
        """Copies the mesh to the card.

        Raises:
            MeshError: there are no triangles, or they index vertices that do not exist.
            NvdiffrastError: nvdiffrast is not there, or cannot draw on this device or this mesh.
        """
        check_triangles(triangles)
        self.config = config or RasterizerConfig()
        self.device = with_index(device)
        if len(triangles.faces) > _MOST_TRIANGLES:
            raise NvdiffrastError(
                f"nvdiffrast tells {_MOST_TRIANGLES:,} triangles apart and the mesh has {len(triangles.faces):,}; "
                "take the rasteriser warp."
            )
        self._module, self._context = _open(self.device)
        self._triangles = triangles
        self._tables = CornerTables.of(triangles, self.device)
        self._cache = GBufferCache(self.config.cache_bytes)
        self._rays: WarpRasterizer | None = None
        self._drawn_views = 0

    @property
    def drawn_views(self) -> int:
        """Views that were drawn so far; one that comes from the cache does not count."""
        return self._drawn_views

    def render(self, cameras: Sequence[Camera], resolution: tuple[int, int]) -> GBuffer:
        """Renders as `Rasterizer.render` says. A camera seen before at this resolution, in the cache, is not drawn
        again."""
        check_views(cameras, resolution)
        return self._cache.render(cameras, resolution, self._draw)

    def blocked(
        self, origins: Float[Tensor, "N 3"], directions: Float[Tensor, "N 3"], reach: float
    ) -> Bool[Tensor, " N"]:
        """Says which rays meet the mesh; see `pgc.rendering.occlusion.RayCaster`."""
        return self._caster().blocked(origins, directions, reach)

    def first_hits(self, origins: Float[Tensor, "N 3"], directions: Float[Tensor, "N 3"], reach: float) -> RayHits:
        """Finds what rays meet first; see `pgc.rendering.raster.ray_hits.HitCaster`."""
        return self._caster().first_hits(origins, directions, reach)

    def _caster(self) -> WarpRasterizer:
        """Warp's search tree of the mesh, built when somebody asks for rays."""
        if self._rays is None:
            self._rays = WarpRasterizer(self._triangles, device=self.device, config=RasterizerConfig(cache_bytes=0))
        return self._rays

    def _draw(self, cameras: Sequence[Camera], resolution: tuple[int, int]) -> GBuffer:
        self._drawn_views += len(cameras)
        # One after the other: a view's subsamples are the largest thing here.
        return GBuffer.cat([self._draw_view(camera, resolution) for camera in cameras])

    def _draw_view(self, camera: Camera, resolution: tuple[int, int]) -> GBuffer:
        grid = self.config.supersampling
        (height, width), tables = resolution, self._tables
        clip = transformed(tables.points, clip_matrix(camera, self._triangles.positions))
        behind = transformed(tables.points, -camera.world_to_camera[2:3])
        fine = self._corners_of(clip, (height * grid, width * grid))
        fine = fine.reshape(height, grid, width, grid, 4)
        # The middle one of an odd number of subsamples is the centre.
        centre = fine[:, grid // 2, :, grid // 2] if grid % 2 else self._corners_of(clip, resolution)
        missed = centre[..., 3] == 0.0
        chosen, hits = centre, torch.zeros_like(centre[..., 0])
        nearest, which = torch.full_like(hits, torch.inf), torch.full_like(hits, -1.0)
        for sample in range(grid * grid):
            one = fine[:, sample // grid, :, sample % grid]
            there = one[..., 3] > 0.0
            hits += there
            depth = self._depth(one, behind)
            better = missed & there & (depth < nearest * NEARER)
            nearest, which = torch.where(better, depth, nearest), torch.where(better, float(sample), which)
            chosen = torch.where(better[..., None], one, chosen)
        seen = SeenFaces(
            face=chosen[..., 3].int() - 1,
            weights=_weights(chosen),
            place=_places(which, grid),
            coverage=hits / grid**2,
        )
        return surface_of(tables, camera, seen)

    def _corners_of(self, clip: Float[Tensor, "V 4"], resolution: tuple[int, int]) -> Float[Tensor, "h w 4"]:
        """(u, v, z/w, triangle + 1) of each pixel."""
        seen, _ = self._module.rasterize(
            self._context, clip[None].contiguous(), self._tables.faces, resolution=resolution, grad_db=False
        )
        return seen[0]

    def _depth(self, seen: Float[Tensor, "h w 4"], behind: Float[Tensor, "V 1"]) -> Float[Tensor, "h w"]:
        face = (seen[..., 3].long() - 1).clamp_min(0)
        return (behind[self._tables.faces[face].long()][..., 0] * _weights(seen)).sum(dim=-1)


def _places(which: Float[Tensor, "h w"], grid: int) -> Float[Tensor, "h w 2"]:
    """(x, y) of the subsample of each pixel, and of its centre where that is -1."""
    height, width = which.shape
    rows = torch.arange(height, device=which.device)[:, None] + 0.5
    columns = torch.arange(width, device=which.device)[None] + 0.5
    across, down = which % grid, torch.div(which, grid, rounding_mode="floor")
    shifts = [torch.where(which < 0.0, 0.0, (index + 0.5) / grid - 0.5) for index in (across, down)]
    return torch.stack([columns + shifts[0], rows + shifts[1]], dim=-1)


def _weights(seen: Float[Tensor, "h w 4"]) -> Float[Tensor, "h w 3"]:
    """Weights of all three corners; the third is what the first two leave."""
    return torch.cat([seen[..., :2], 1.0 - seen[..., :1] - seen[..., 1:2]], dim=-1)


def transformed(points: Float[Tensor, "V 3"], matrix: Float32[np.ndarray, "r 4"]) -> Float[Tensor, "V r"]:
    """Transforms points by the rows of a matrix. No matrix product: a card may do one in half the digits (TF32)."""
    rows = torch.from_numpy(np.ascontiguousarray(matrix)).to(points.device)
    return points[:, :1] * rows[:, 0] + points[:, 1:2] * rows[:, 1] + points[:, 2:] * rows[:, 2] + rows[:, 3]


def clip_matrix(camera: Camera, positions: Float32[np.ndarray, "V 3"]) -> Float32[np.ndarray, "4 4"]:
    """Returns world to clip space of a picture that stands on its head, its planes as close around the mesh as the
    camera's own allow.

    nvdiffrast's row 0 is at the bottom: with y turned round it is the top of ours, and no picture need be flipped.
    Close planes give its depth buffer, which has the digits of z/w, the most to tell surfaces apart.
    """
    pose = camera.world_to_camera.astype(np.float64)
    low, high = positions.min(axis=0).astype(np.float64), positions.max(axis=0).astype(np.float64)
    # Of the box's corners; extremes of a linear function.
    towards = np.stack([pose[2, :3] * low, pose[2, :3] * high])
    depths = -(towards.max(axis=0).sum() + pose[2, 3]), -(towards.min(axis=0).sum() + pose[2, 3])
    near, far = camera.clip_range
    margin = _MARGIN * max(depths[1] - depths[0], abs(depths[1]), 1e-6)
    closer, farther = max(near, depths[0] - margin), min(far, depths[1] + margin)
    if closer < farther:
        near, far = closer, farther
    projection = camera.projection.astype(np.float64)
    projection[1] = -projection[1]
    if camera.is_orthographic:
        projection[2] = [0.0, 0.0, -2.0 / (far - near), -(far + near) / (far - near)]
    else:
        projection[2] = [0.0, 0.0, -(far + near) / (far - near), -2.0 * far * near / (far - near)]
    return (projection @ pose).astype(np.float32)


def _open(device: torch.device) -> tuple[NvdiffrastModule, object]:
    """Imports nvdiffrast and makes its state.

    Raises:
        NvdiffrastError: it cannot be had.
    """
    if device.type != "cuda":
        raise NvdiffrastError(f"nvdiffrast draws on NVIDIA cards alone, and this is the device {device}.")
    if torch.version.hip is not None:
        raise NvdiffrastError("nvdiffrast draws on NVIDIA cards alone, and this torch is built for AMD's (ROCm).")
    if not is_nvdiffrast_installed():
        raise NvdiffrastError(
            f"nvdiffrast is not installed, and {LICENCE}; pgc/README.md says how to install it, or take the "
            "rasteriser warp."
        )
    try:
        module = cast(NvdiffrastModule, cast(Any, importlib.import_module(_MODULE)))
        return module, module.RasterizeCudaContext(device=device)
    except (ImportError, OSError, RuntimeError) as error:
        # Built for another torch, or (before its version 0.4) compiled at this moment, without a compiler.
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise NvdiffrastError(
            f"nvdiffrast is installed but does not work ({first}); install it again for this torch "
            f"({torch.__version__}), or take the rasteriser warp."
        ) from error
