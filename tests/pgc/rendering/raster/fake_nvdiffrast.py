# SPDX-License-Identifier: Apache-2.0
"""What `nvdiffrast.torch` is documented to do, in plain torch and double precision: every pixel against every triangle.

Its documentation says: positions are in clip space, where x/w, y/w and z/w lie between -1 and 1; row 0 of a picture is
at the bottom; a pixel is (u, v, z/w, triangle + 1), zero where no triangle is, with (u, v) = (1, 0) in a triangle's
first corner, (0, 1) in the second and (0, 0) in the third; no triangle is culled by its facing. Method: Olano and
Greer, 1997 (edge functions in homogeneous coordinates). Derivatives are not drawn.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types

import pytest
import torch
from torch import Tensor


class RasterizeCudaContext:
    """The state of a device; counts what was drawn with it."""

    def __init__(self, device: torch.device | str | None = None) -> None:
        self.device = torch.device("cuda" if device is None else device)
        self.drawn: list[tuple[int, int]] = []


def rasterize(
    glctx: RasterizeCudaContext,
    pos: Tensor,
    tri: Tensor,
    resolution: tuple[int, int],
    ranges: Tensor | None = None,
    grad_db: bool = True,
) -> tuple[Tensor, Tensor]:
    """Draws triangles, in instance mode."""
    assert pos.dtype == torch.float32
    assert tri.dtype == torch.int32
    assert pos.is_contiguous()
    assert tri.is_contiguous()
    assert pos.device == tri.device == glctx.device
    assert pos.ndim == 3
    assert pos.shape[2] == 4
    assert tri.ndim == 2
    assert ranges is None
    glctx.drawn.append(tuple(resolution))
    drawn = torch.stack([_draw(view.double()[tri.long()], *resolution) for view in pos])
    return drawn.float(), torch.zeros_like(drawn, dtype=torch.float32)


def _draw(corners: Tensor, height: int, width: int) -> Tensor:
    """One picture of [F, 3, 4] corners."""
    x = (2.0 * torch.arange(width, device=corners.device) + 1.0) / width - 1.0
    y = (2.0 * torch.arange(height, device=corners.device) + 1.0) / height - 1.0
    pixels = torch.stack([x[None].expand(height, width), y[:, None].expand(height, width)], dim=-1).reshape(-1, 2)
    pixels = torch.cat([pixels, torch.ones_like(pixels[:, :1])], dim=1).double()
    # (x, y, w) of the corners times their weights is the pixel: with all weights positive it is inside (Cramer).
    first, second, third = torch.cat([corners[..., :2], corners[..., 3:]], dim=2).unbind(dim=1)
    opposite = [torch.linalg.cross(*pair) for pair in ((second, third), (third, first), (first, second))]
    determinant = (first * opposite[0]).sum(dim=1)
    singular = determinant.abs() < 1e-14
    edges = torch.stack(opposite, dim=1) / torch.where(singular, 1.0, determinant)[:, None, None]
    weights = (edges[None] * pixels[:, None, None, :]).sum(dim=3)
    depth = (weights * corners[None, :, :, 2]).sum(dim=2)
    inside = (weights >= 0.0).all(dim=2) & ~singular & (depth.abs() <= 1.0)
    nearest, face = torch.where(inside, depth, torch.inf).min(dim=1)
    there = torch.isfinite(nearest)
    chosen = weights.gather(1, face[:, None, None].expand(-1, 1, 3))[:, 0]
    chosen = chosen / chosen.sum(dim=1, keepdim=True)
    out = torch.stack([chosen[:, 0], chosen[:, 1], nearest, face + 1.0], dim=1)
    return torch.where(there[:, None], out, 0.0).reshape(height, width, 4)


def install(monkeypatch: pytest.MonkeyPatch, context: object = RasterizeCudaContext) -> None:
    """Puts this module where Python looks for nvdiffrast; `context` takes the place of its class."""
    package, module = types.ModuleType("nvdiffrast"), types.ModuleType("nvdiffrast.torch")
    for each in (package, module):
        each.__spec__ = importlib.machinery.ModuleSpec(each.__name__, None)
    package.__path__ = []
    module.RasterizeCudaContext, module.rasterize = context, rasterize  # type: ignore[attr-defined]
    module.antialias = antialias  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nvdiffrast", package)
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", module)


def antialias(color: Tensor, rast: Tensor, pos: Tensor, tri: Tensor) -> Tensor:
    """Blends pictures, channels last, across outlines: by our own method, at nvdiffrast's conventions of layout."""
    from pgc.shape.rendering.moving_mesh import edge_mates
    from pgc.shape.rendering.silhouettes import EdgeTable, find_outlines
    from pgc.shape.rendering.silhouettes import antialias as blended

    assert color.dtype == rast.dtype == pos.dtype == torch.float32
    assert color.shape[:3] == rast.shape[:3]
    assert all(each.is_contiguous() for each in (color, rast, pos, tri))
    height, width = color.shape[1:3]
    # Rows in the order in which they lie: y grows with the row.
    points = (pos[..., :2] / pos[..., 3:] + 1.0) * torch.tensor([0.5 * width, 0.5 * height])
    usable = torch.ones(points.shape[:2], dtype=torch.bool)
    table = EdgeTable(faces=tri.long(), mates=edge_mates(tri.long()))
    outlines = find_outlines(points, usable, table, rast[..., 3].long() - 1, rast[..., 2])
    return blended(color.movedim(-1, 1), outlines).movedim(1, -1)
