# SPDX-License-Identifier: Apache-2.0
"""A moving mesh drawn by nvdiffrast, where the user has it: its weights and its antialiasing have the gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.cameras import Camera
from pgc.devices import with_index
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.rendering.raster.hit_surface import CornerTables, SeenFaces, surface_of
from pgc.rendering.raster.nvdiffrast_rasterizer import clip_matrix, open_nvdiffrast, transformed
from pgc.rendering.raster.rasterizer import check_triangles, check_views
from pgc.shape.rendering.moving_mesh import MovingMesh, still
from pgc.shape.rendering.renderer import Sight, sight_of

__all__ = ["NvdiffrastRenderer"]


class NvdiffrastRenderer:
    """See `pgc.shape.rendering.renderer.ShapeRenderer`. Unlike ours, its outlines are those of triangles that a pixel
    sees: of a fine mesh at few pixels it gives them less gradient."""

    def __init__(self, device: torch.device | str) -> None:
        """Opens nvdiffrast.

        Raises:
            NvdiffrastError: it is not there, or cannot draw on this device.
        """
        self.device = with_index(device)
        self._module, self._context = open_nvdiffrast(self.device)

    def look(self, mesh: MovingMesh, cameras: Sequence[Camera], resolution: tuple[int, int]) -> Sight:
        """Finds what `ShapeRenderer.look` says."""
        triangles = still(mesh)
        check_triangles(triangles)
        check_views(cameras, resolution)
        rows = [clip_matrix(camera, triangles.positions) for camera in cameras]
        clip = torch.stack([transformed(mesh.positions.float(), matrix) for matrix in rows]).contiguous()
        faces = mesh.faces.int().contiguous()
        drawn, _ = self._module.rasterize(self._context, clip, faces, resolution=resolution, grad_db=False)
        seen = drawn[..., 3:] > 0.0
        weights = torch.cat([drawn[..., :2], 1.0 - drawn[..., :1] - drawn[..., 1:2]], dim=-1) * seen

        def antialias(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
            """Blends across outlines."""
            last = image.movedim(1, -1).float().contiguous()
            return self._module.antialias(last, drawn, clip, faces).movedim(-1, 1)

        tables = CornerTables.of(triangles, self.device)
        views = [_still_view(tables, camera, *parts) for camera, *parts in zip(cameras, drawn, weights, strict=True)]
        return sight_of(mesh, cameras, GBuffer.cat(views), weights, antialias)


@torch.no_grad()
def _still_view(tables: CornerTables, camera: Camera, drawn: Tensor, weights: Tensor) -> GBuffer:
    """The G-buffer of one view, at the pixels' centres."""
    height, width, _ = drawn.shape
    down, across = (torch.arange(side, device=drawn.device) + 0.5 for side in (height, width))
    face = drawn[..., 3].int() - 1
    seen = SeenFaces(
        face=face,
        weights=weights.detach(),
        place=torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1),
        coverage=(face >= 0).float(),
    )
    return surface_of(tables, camera, seen)
