# SPDX-License-Identifier: Apache-2.0
"""What every renderer of a moving mesh does, and the one that needs nothing but rays and torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pgc.cameras import Camera
from pgc.devices import with_index
from pgc.mesh.data import TriangleMesh
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.rendering.raster.rasterizer import Rasterizer, RasterizerConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.shape.rendering.moving_mesh import MovingMesh, edge_mates, still, vertex_normals
from pgc.shape.rendering.projection import clip_positions, picture_positions, pixel_weights
from pgc.shape.rendering.silhouettes import EdgeTable, antialias, find_outlines

__all__ = ["RayRenderer", "ShapeRenderer", "Sight", "sight_of"]

_FRONT = 1e-6
"""Least w of a vertex that has a place in the picture."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sight:
    """What a step's cameras see of a mesh of this moment."""

    gbuffer: GBuffer
    """The same without gradients, as textures know it. A pixel's coverage is 0 or 1."""
    weights: Float[Tensor, "b h w 3"]
    """Of the corners of the visible triangle at the pixel's centre, on the graph; 0 where nothing is seen."""
    position: Float[Tensor, "b 3 h w"]
    normal: Float[Tensor, "b 3 h w"]
    """Smooth unit normal in world axes, turned round where a triangle is seen from behind; 0 where nothing is seen.
    Unlike the G-buffer's it may look away from the viewer at a limb: turned there too, it would jump as they move."""
    color: Float[Tensor, "b 3 h w"]
    antialias: Callable[[Tensor], Tensor]
    """Blends a composited picture [b, c, h, w] across the outlines; this is where they get their gradient."""


@runtime_checkable
class ShapeRenderer(Protocol):
    """Renders a mesh that moves, with gradients to its vertices."""

    def look(self, mesh: MovingMesh, cameras: Sequence[Camera], resolution: tuple[int, int]) -> Sight:
        """Finds what cameras see at `resolution` = (H, W).

        Raises:
            MeshError: there are no triangles.
            CameraError: there is no camera, or the resolution is out of range.
        """
        ...


class RayRenderer:
    """Rays find what is visible; all that moves is computed from the vertices by torch. On any device."""

    def __init__(self, device: torch.device | str) -> None:
        self.device = with_index(device)

    def look(self, mesh: MovingMesh, cameras: Sequence[Camera], resolution: tuple[int, int]) -> Sight:
        """Finds what `ShapeRenderer.look` says. The search tree is built anew: the vertices have moved."""
        gbuffer = self.rasterizer(still(mesh)).render(cameras, resolution)
        clip = clip_positions(mesh.positions, cameras)
        weights = pixel_weights(clip, mesh.faces, gbuffer.face_index)
        usable = clip[..., 2] > _FRONT
        safe = torch.where(usable[..., None], clip, 1.0)
        outlines = find_outlines(
            picture_positions(safe, resolution),
            usable,
            EdgeTable(faces=mesh.faces, mates=edge_mates(mesh.faces)),
            gbuffer.face_index,
            gbuffer.depth[:, 0],
        )
        return sight_of(mesh, cameras, gbuffer, weights, partial(antialias, outlines=outlines))

    def rasterizer(self, triangles: TriangleMesh) -> Rasterizer:
        """Builds the rasteriser of a moment: one ray a pixel, since outlines are antialiased afterwards."""
        config = RasterizerConfig(supersampling=1, cache_bytes=0)
        return WarpRasterizer(triangles, device=self.device, config=config)


def sight_of(
    mesh: MovingMesh,
    cameras: Sequence[Camera],
    gbuffer: GBuffer,
    weights: Float[Tensor, "b h w 3"],
    antialias: Callable[[Tensor], Tensor],
) -> Sight:
    """Interpolates what vertices carry, at weights that are on the graph themselves."""
    corners = mesh.faces[gbuffer.face_index.clamp_min(0).long()]

    def spread(values: Float[Tensor, "v 3"]) -> Float[Tensor, "b 3 h w"]:
        """Returns the values of the corners by their weights."""
        return (values[corners] * weights[..., None]).sum(dim=-2).movedim(-1, 1)

    smooth = F.normalize(spread(vertex_normals(mesh.positions, mesh.faces)), dim=1, eps=1e-12)
    return Sight(
        gbuffer=gbuffer,
        weights=weights,
        position=spread(mesh.positions),
        normal=smooth * _facing(mesh, cameras, gbuffer),
        color=spread(mesh.colors),
        antialias=antialias,
    )


@torch.no_grad()
def _facing(mesh: MovingMesh, cameras: Sequence[Camera], gbuffer: GBuffer) -> Float[Tensor, "b 1 h w"]:
    """-1 where a triangle is seen from behind, 1 elsewhere."""
    first, second, third = mesh.positions[mesh.faces].unbind(dim=1)
    outward = torch.linalg.cross(second - first, third - first)[gbuffer.face_index.clamp_min(0).long()]
    # A direction from the surface to the viewer: all the same where rays are parallel.
    eyes = np.stack([camera.backward if camera.is_orthographic else camera.position for camera in cameras])
    parallel = torch.tensor([camera.is_orthographic for camera in cameras], device=outward.device)
    eye = torch.from_numpy(eyes).to(outward)[:, None, None]
    place = torch.where(parallel[:, None, None, None], 0.0, gbuffer.position.movedim(1, -1)).to(outward.dtype)
    behind = (outward * (eye - place)).sum(dim=-1) < 0.0
    return torch.where(behind, -1.0, 1.0).to(outward.dtype)[:, None]
