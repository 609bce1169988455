# SPDX-License-Identifier: Apache-2.0
"""Pictures of a mesh put onto its texels: each texel takes what the views that see it show there, the straighter the
view the more.

A texel is seen where the picture's own G-buffer has a surface at that depth which faces the camera by the same side:
so nothing comes through a thin wall, and a mesh whose faces point inwards is painted like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from pgc.cameras import Camera
from pgc.mesh.data import TriangleMesh
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.texture.finishing.fill import fill_unseen
from pgc.texture.finishing.gutter import pull_push
from pgc.texture.texel_surface import TexelSurface, texel_surface

__all__ = ["PaintedTexels", "TexelPainter"]

_LEAST_COSINE = 0.15
"""Views that graze a texel more than this (81 degrees) say nothing of it: a pixel there spans seven texels' lengths."""
_SMALLEST_SIGNIFICANT = 1e-5
"""Weight below which a texel counts as unseen."""
_WHOLE_PIXEL = 1.0
_FILL_SIZE = 512
"""Texels that no view sees are filled at no more than this size: their colour is a guess from around them anyway."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaintedTexels:
    """What views say of texels."""

    image: Float[Tensor, "tiles 3 s s"]
    """Colours; beyond what was seen they continue smoothly."""
    seen: Bool[Tensor, "tiles s s"]


class TexelPainter:
    """Collects pictures of one mesh, and gives the texels that they make together.

    Args:
        triangles: the mesh, in the space of the cameras.
        size: side of the texture that is painted.
        tiles: its UDIM tiles.
        grazing: power of the cosine between ray and normal in a view's weight.
        device: where it computes.
    """

    def __init__(
        self, triangles: TriangleMesh, size: int, tiles: Sequence[int], grazing: float, device: torch.device
    ) -> None:
        self.size, self.tiles = size, tuple(tiles)
        self._grazing = grazing
        self._triangles = triangles
        surfaces = [texel_surface(triangles, size, tile, reach=1.0) for tile in tiles]
        covered = np.stack([surface.face_index >= 0 for surface in surfaces])
        self._covered = torch.from_numpy(covered).to(device)
        self._position = _gathered([surface.position for surface in surfaces], covered, device)
        self._normal = _gathered([surface.normal for surface in surfaces], covered, device)
        self._face = _gathered([surface.face_index for surface in surfaces], covered, device).long()
        self._face_normal = torch.from_numpy(_face_normals(triangles)).to(device)
        self._colors = torch.zeros((len(self._position), 3), device=device)
        self._weights = torch.zeros((len(self._position), 1), device=device)

    def clear(self) -> None:
        """Forgets all pictures."""
        self._colors.zero_()
        self._weights.zero_()

    def add(self, cameras: Sequence[Camera], gbuffer: GBuffer, pictures: Float[Tensor, "b 3 h w"]) -> None:
        """Adds pictures of the mesh from these cameras; the G-buffer is theirs."""
        for index, camera in enumerate(cameras):
            place, weight = self.look_up(camera, gbuffer, index)
            color = F.grid_sample(
                pictures[index : index + 1].float(), place[None, None], padding_mode="border", align_corners=False
            )
            self._colors += color[0, :, 0].T * weight[:, None]
            self._weights += weight[:, None]

    def look_up(self, camera: Camera, gbuffer: GBuffer, index: int) -> tuple[Float[Tensor, "n 2"], Float[Tensor, " n"]]:
        """Returns where each covered texel lies in a view's picture (x to the right, y down, in [-1, 1] within it), and
        how much the view says of it."""
        device = self._position.device
        pose = torch.tensor(camera.world_to_camera).to(device)
        projection = torch.tensor(camera.projection).to(device)
        local = self._position @ pose[:3, :3].T + pose[:3, 3]
        clip = torch.cat([local, torch.ones_like(local[:, :1])], dim=1) @ projection.T
        ahead = clip[:, 3:] > 0.0
        place = torch.where(ahead, clip[:, :2] / torch.where(ahead, clip[:, 3:], 1.0), 2.0)
        place = place * place.new_tensor([1.0, -1.0])
        backward = torch.tensor(camera.backward).to(device)
        eye = torch.tensor(camera.position).to(device)
        ray = backward.expand_as(self._position) if camera.is_orthographic else F.normalize(eye - self._position, dim=1)
        cosine = (ray * self._normal).sum(dim=1).abs()
        height = gbuffer.depth.shape[-2]
        pixel = 2.0 / (float(camera.projection[1, 1]) * height) * clip[:, 3]
        # The picture's depth is that of the nearest pixel's centre, at most a pixel away along the slope.
        tolerance = pixel * (1.0 + (1.0 - cosine.square()).clamp_min(0.0).sqrt() / cosine.clamp_min(_LEAST_COSINE))
        depth, face = self._nearest(gbuffer, index, place)
        side = (self._face_normal[self._face] * ray).sum(dim=1) > 0.0
        seen_side = (self._face_normal[face.clamp_min(0)] * ray).sum(dim=1) > 0.0
        visible = (face >= 0) & ((-local[:, 2] - depth).abs() < tolerance) & (side == seen_side)
        visible &= cosine > _LEAST_COSINE
        return place, cosine**self._grazing * visible * self._inner(gbuffer, index, place)

    @staticmethod
    def _nearest(
        gbuffer: GBuffer, index: int, place: Float[Tensor, "n 2"]
    ) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
        """Depth and triangle at the nearest pixel; triangle -1 outside the picture."""
        height, width = gbuffer.depth.shape[-2:]
        column = ((place[:, 0] + 1.0) * 0.5 * width).floor().long()
        row = ((place[:, 1] + 1.0) * 0.5 * height).floor().long()
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        at = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
        face = gbuffer.face_index[index].reshape(-1)[at].long()
        return gbuffer.depth[index].reshape(-1)[at], torch.where(inside, face, -1)

    @staticmethod
    def _inner(gbuffer: GBuffer, index: int, place: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        """Falls to 0 towards pixels that show some background."""
        whole = (gbuffer.coverage[index : index + 1] >= _WHOLE_PIXEL).float()
        inner = -F.max_pool2d(-whole, 3, 1, 1)
        return F.grid_sample(inner, place[None, None], align_corners=False)[0, 0, 0]

    def painted(self) -> PaintedTexels:
        """Returns the texels as the pictures so far make them; what none of them saw is continued in UV."""
        seen_here = self._weights[:, 0] > _SMALLEST_SIGNIFICANT
        color = self._colors / self._weights.clamp_min(_SMALLEST_SIGNIFICANT)
        seen = torch.zeros_like(self._covered)
        seen[self._covered] = seen_here
        image = color.new_zeros((*self._covered.shape, 3))
        image[self._covered] = color
        filled = pull_push(image.permute(0, 3, 1, 2).contiguous(), seen[:, None])
        return PaintedTexels(image=filled, seen=seen)

    def filled(self) -> PaintedTexels:
        """Returns the same with what no picture saw taken from around it on the surface."""
        painted = self.painted()
        holes = self._covered & ~painted.seen
        if not bool(holes.any()) or not bool(painted.seen.any()):
            return painted
        size = min(self.size, _FILL_SIZE)
        small, seen = painted.image, painted.seen
        if size < self.size:
            scale = self.size // size
            known = seen[:, None].to(small)
            weight = F.avg_pool2d(known, scale)
            small = F.avg_pool2d(small * known, scale) / weight.clamp_min(1e-6)
            seen = weight[:, 0] > 0.0
        surfaces: list[TexelSurface] = [texel_surface(self._triangles, size, tile, reach=1.0) for tile in self.tiles]
        small = fill_unseen(small, seen, surfaces)
        covered = torch.from_numpy(np.stack([surface.face_index >= 0 for surface in surfaces])).to(seen.device)
        small = pull_push(small, (seen | covered)[:, None])
        guess = small if size == self.size else F.interpolate(small, size=(self.size, self.size), mode="bilinear")
        known = painted.seen[:, None]
        return PaintedTexels(image=torch.where(known, painted.image, guess), seen=painted.seen)


def _gathered(images: Sequence[np.ndarray], covered: Bool[np.ndarray, "tiles s s"], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(images)[covered]).to(device)


def _face_normals(triangles: TriangleMesh) -> Float[np.ndarray, "f 3"]:
    """Each triangle's own normal, of any length, by the order of its corners."""
    a, b, c = (triangles.positions[triangles.faces[:, corner]] for corner in range(3))
    return np.cross(b - a, c - a).astype(np.float32)
