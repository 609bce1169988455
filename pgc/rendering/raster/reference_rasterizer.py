# SPDX-License-Identifier: Apache-2.0
"""The same G-buffer, slowly and plainly: every ray against every triangle, in float64, in torch alone.

It is what the fast rasterisers are tested against, so it shares none of their shortcuts: rays come from
unprojecting the near and far plane, the footprint from rays a small step beside the pixel, and every subsample
is traced in full. Method: Möller and Trumbore, 1997. Cost grows with pixels x triangles.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pgc.cameras import Camera
from pgc.mesh.data import TriangleMesh
from pgc.mesh.tangents import tangents_of
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.rendering.raster.rasterizer import GRAZING_COSINE, NEARER, RasterizerConfig, check_triangles, check_views
from pgc.rendering.raster.ray_hits import RayHits

__all__ = ["ReferenceRasterizer"]

_STEP = 1e-4
"""Step in pixels for numerical ray differentials."""
_CHUNK_PAIRS = 1 << 20
"""Ray-triangle pairs that are tested at once."""
_FAR = 1e6
"""Stands for an infinite far plane."""

_Rays = tuple[Tensor, Tensor, Tensor]


class ReferenceRasterizer:
    """Brute-force rasteriser of one fixed mesh; see `pgc.rendering.raster.rasterizer.Rasterizer` for `render`."""

    def __init__(
        self, triangles: TriangleMesh, *, device: torch.device | str = "cpu", config: RasterizerConfig | None = None
    ) -> None:
        """Holds the mesh; buffers are moved to `device`. The cache of the configuration is not used.

        Raises:
            MeshError: there are no triangles, or they index vertices that do not exist.
        """
        check_triangles(triangles)
        self.config = config or RasterizerConfig()
        self.device = torch.device(device)
        positions = torch.from_numpy(triangles.positions.astype(np.float64))
        self._corners = positions[torch.from_numpy(triangles.faces.astype(np.int64))]
        self._corner_uvs = torch.from_numpy(triangles.corner_uvs.astype(np.float64))
        self._corner_normals = torch.from_numpy(triangles.corner_normals.astype(np.float64))
        self._corner_tangents = torch.from_numpy(tangents_of(triangles).astype(np.float64))

    def render(self, cameras: Sequence[Camera], resolution: tuple[int, int]) -> GBuffer:
        """Renders as `Rasterizer.render` says."""
        check_views(cameras, resolution)
        return GBuffer.cat([self._render_view(camera, resolution) for camera in cameras]).to(self.device)

    def blocked(
        self, origins: Float[Tensor, "N 3"], directions: Float[Tensor, "N 3"], reach: float
    ) -> Bool[Tensor, " N"]:
        """Says which rays meet the mesh; see `pgc.rendering.occlusion.RayCaster`."""
        rays = (origins.double().cpu(), directions.double().cpu(), torch.full((len(origins),), reach).double())
        return (self._trace(rays)[0] >= 0).to(self.device)

    def first_hits(self, origins: Float[Tensor, "N 3"], directions: Float[Tensor, "N 3"], reach: float) -> RayHits:
        """Finds what rays meet first; see `pgc.rendering.raster.ray_hits.HitCaster`."""
        rays = (origins.double().cpu(), directions.double().cpu(), torch.full((len(origins),), reach).double())
        face, distance, barycentrics = self._trace(rays)
        met = (face >= 0)[:, None]
        return RayHits(
            face=face.int().to(self.device),
            barycentrics=torch.where(met, barycentrics, 0.0).float().to(self.device),
            distance=distance.float().to(self.device),
        )

    def _render_view(self, camera: Camera, resolution: tuple[int, int]) -> GBuffer:
        height, width = resolution
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        pixels = torch.stack([x.reshape(-1), y.reshape(-1)], dim=1).double()
        face, t, barycentrics = self._trace(_rays(camera, pixels, resolution))
        centre_missed = face < 0
        grid = self.config.supersampling
        hits = torch.zeros(len(pixels), dtype=torch.float64)
        sampled = pixels.clone()
        for sample in range(grid * grid):
            offset = torch.tensor([sample % grid, sample // grid], dtype=torch.float64)
            moved = pixels + (offset + 0.5) / grid - 0.5
            sub_face, sub_t, sub_barycentrics = self._trace(_rays(camera, moved, resolution))
            hits += sub_face >= 0
            better = centre_missed & (sub_face >= 0) & (sub_t < t * NEARER)
            face, t = torch.where(better, sub_face, face), torch.where(better, sub_t, t)
            barycentrics = torch.where(better[:, None], sub_barycentrics, barycentrics)
            sampled = torch.where(better[:, None], moved, sampled)
        found = face >= 0
        columns = self._surface(camera, sampled[found], resolution, face[found], barycentrics[found])
        columns["depth"] = (camera.clip_range[0] + t[found])[:, None]

        def image(values: Tensor) -> Tensor:
            """Spreads values of the pixels that were hit over the whole picture; 0 elsewhere."""
            full = torch.zeros((height * width, values.shape[1]), dtype=torch.float32)
            full[found] = values.float()
            return full.T.reshape(1, -1, height, width).contiguous()

        return GBuffer(
            face_index=face.int().reshape(1, height, width),
            mask=found.reshape(1, 1, height, width),
            coverage=(hits / grid**2).float().reshape(1, 1, height, width),
            **{name: image(values) for name, values in columns.items()},
        )

    def _trace(self, rays: _Rays) -> tuple[Int[Tensor, " N"], Float[Tensor, " N"], Float[Tensor, "N 3"]]:
        """Nearest triangle of each ray (-1: none), ray parameter (inf: none) and barycentrics."""
        origins, directions, reach = rays
        chunk = max(1, _CHUNK_PAIRS // len(self._corners))
        parts = [
            _nearest(self._corners, origins[i : i + chunk], directions[i : i + chunk], reach[i : i + chunk])
            for i in range(0, len(origins), chunk)
        ]
        faces, distances, weights = zip(*parts, strict=True)
        return torch.cat(faces), torch.cat(distances), torch.cat(weights)

    def _surface(
        self, camera: Camera, pixels: Tensor, resolution: tuple[int, int], face: Tensor, barycentrics: Tensor
    ) -> dict[str, Tensor]:
        corners, uvs = self._corners[face], self._corner_uvs[face]
        flat = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        flat = torch.nn.functional.normalize(flat, dim=1, eps=1e-300)
        direction = torch.nn.functional.normalize(_rays(camera, pixels, resolution)[1], dim=1)
        flat = torch.where((flat * direction).sum(1, keepdim=True) > 0, -flat, flat)
        smooth = torch.einsum("nc,ncd->nd", barycentrics, self._corner_normals[face])
        normal = _visible_normal(smooth, flat, direction)
        return {
            "barycentrics": barycentrics,
            "uv": torch.einsum("nc,ncd->nd", barycentrics, uvs),
            "uv_footprint": self._footprint(camera, pixels, resolution, face, flat),
            "position": torch.einsum("nc,ncd->nd", barycentrics, corners),
            "normal": normal,
            "tangent": _tangent(torch.einsum("nc,ncd->nd", barycentrics, self._corner_tangents[face]), smooth, normal),
        }

    def _footprint(
        self, camera: Camera, pixels: Tensor, resolution: tuple[int, int], face: Tensor, flat: Tensor
    ) -> Tensor:
        corners, uvs = self._corners[face], self._corner_uvs[face]
        edges = torch.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], dim=2)
        uv_edges = torch.stack([uvs[:, 1] - uvs[:, 0], uvs[:, 2] - uvs[:, 0]], dim=2)
        centre = _rays(camera, pixels, resolution)
        t = _plane_distance(corners, flat, centre)[:, None]
        cosine = (torch.nn.functional.normalize(centre[1], dim=1) * flat).sum(1, keepdim=True).abs()
        slopes = []
        for axis in ((1.0, 0.0), (0.0, 1.0)):
            step = torch.tensor(axis, dtype=torch.float64) * _STEP
            ahead, behind = _rays(camera, pixels + step, resolution), _rays(camera, pixels - step, resolution)
            across = (ahead[0] + t * ahead[1] - behind[0] - t * behind[1]) / (2 * _STEP)
            met = ahead[0] + _plane_distance(corners, flat, ahead)[:, None] * ahead[1]
            met = met - behind[0] - _plane_distance(corners, flat, behind)[:, None] * behind[1]
            # What the slant of the surface adds along the ray grows as 1 / cosine, up to the grazing limit.
            slant = (met / (2 * _STEP) - across) * (cosine / GRAZING_COSINE).clamp(max=1.0)
            solution = torch.linalg.pinv(edges) @ (across + slant)[:, :, None]
            slopes.append((uv_edges @ solution)[:, :, 0])
        return torch.cat(slopes, dim=1)


def _rays(camera: Camera, pixels: Tensor, resolution: tuple[int, int]) -> _Rays:
    """Origins on the near plane, directions of camera depth 1, and reach, of rays through picture coordinates."""
    height, width = resolution
    near, far = camera.clip_range
    matrix = camera.projection.astype(np.float64) @ camera.world_to_camera.astype(np.float64)
    inverse = torch.linalg.inv(torch.from_numpy(matrix))
    ndc = torch.stack([2 * pixels[:, 0] / width - 1, 1 - 2 * pixels[:, 1] / height], dim=1)
    ends = []
    for z in (-1.0, 0.0):  # near plane, and one behind it that is finite even where far is not
        point = torch.cat([ndc, torch.full_like(ndc[:, :1], z), torch.ones_like(ndc[:, :1])], dim=1) @ inverse.T
        ends.append(point[:, :3] / point[:, 3:])
    backward = torch.from_numpy(camera.backward).double()
    along = ends[1] - ends[0]
    along = along / -(along @ backward)[:, None]
    return ends[0], along, torch.full_like(pixels[:, 0], min(far, _FAR) - near)


def _nearest(corners: Tensor, origins: Tensor, directions: Tensor, reach: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    e1, e2 = (corners[:, 1] - corners[:, 0])[None], (corners[:, 2] - corners[:, 0])[None]
    along = directions[:, None].expand(-1, len(corners), -1)
    p = torch.linalg.cross(along, e2.expand_as(along))
    determinant = (e1 * p).sum(-1)
    inverse = torch.where(determinant == 0, torch.zeros_like(determinant), 1 / determinant)
    offset = origins[:, None] - corners[None, :, 0]
    v = (offset * p).sum(-1) * inverse
    q = torch.linalg.cross(offset, e1.expand_as(offset))
    w = (along * q).sum(-1) * inverse
    t = (e2 * q).sum(-1) * inverse
    inside = (determinant != 0) & (v >= 0) & (w >= 0) & (v + w <= 1) & (t >= 0) & (t < reach[:, None])
    distance, face = torch.where(inside, t, torch.full_like(t, torch.inf)).min(dim=1)
    v, w = v.gather(1, face[:, None])[:, 0], w.gather(1, face[:, None])[:, 0]
    hit = torch.isfinite(distance)
    weights = torch.stack([1 - v - w, v, w], dim=1) * hit[:, None]
    return torch.where(hit, face, -torch.ones_like(face)), distance, weights


def _plane_distance(corners: Tensor, flat: Tensor, rays: _Rays) -> Tensor:
    """Ray parameters where rays meet the planes of their triangles, inside the triangle or not."""
    origins, directions, _ = rays
    return ((corners[:, 0] - origins) * flat).sum(1) / (directions * flat).sum(1)


def _visible_normal(smooth: Tensor, flat: Tensor, direction: Tensor) -> Tensor:
    normal = torch.where((smooth * flat).sum(1, keepdim=True) < 0, -smooth, smooth)
    beyond = (normal * direction).sum(1, keepdim=True).clamp(min=0)
    normal = normal - beyond * direction
    normal = torch.where((normal**2).sum(1, keepdim=True) < 1e-12, flat, normal)
    return torch.nn.functional.normalize(normal, dim=1)


def _tangent(corners: Tensor, smooth: Tensor, normal: Tensor) -> Tensor:
    tangent = corners[:, :3] - normal * (corners[:, :3] * normal).sum(1, keepdim=True)
    missing = tangent.norm(dim=1, keepdim=True) <= 1e-4
    axis = torch.zeros_like(normal)
    axis[:, 0] = (normal[:, 0].abs() < 0.6).double()
    axis[:, 1] = 1 - axis[:, 0]
    any_direction = axis - normal * (axis * normal).sum(1, keepdim=True)
    tangent = torch.nn.functional.normalize(torch.where(missing, any_direction, tangent), dim=1)
    behind = (smooth * normal).sum(1, keepdim=True) < 0
    negative = ((corners[:, 3:] < 0) != behind) & ~missing
    return torch.cat([tangent, torch.where(negative, -1.0, 1.0).double()], dim=1)
