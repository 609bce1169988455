# SPDX-License-Identifier: Apache-2.0
"""The pictures that ControlNets are shown, each drawn as the published models of its kind were trained on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["depth_image", "edge_image", "normal_image", "official_depth_image", "shuffled_image", "tile_image"]

_FARTHEST = 0.2
_TILE = 8
"""How many times smaller the picture is that a tile ControlNet makes detail for."""
_SHUFFLE_CELLS = 4
_DEPTH_JUMP = 0.02
"""Of the disparity. That of a plane is straight across a picture, however slanted it is."""
_SHARP = 0.85
"""Cosine of the angle between two neighbours' normals: 32 degrees."""


def depth_image(
    depth: Float[Tensor, "b 1 h w"],
    mask: Bool[Tensor, "b 1 h w"],
    shading: Float[Tensor, "b k h w"] | None = None,
) -> Float[Tensor, "b 3 h w"]:
    """Draws depth in the polarity of MiDaS, on which the public depth ControlNets were trained: near white, background
    black.

    Inverse depth, as a disparity, stretched for each image over the object: the nearest point is 1, the farthest 0.2,
    so that the whole silhouette stands out from the background's 0. (The official PGC code feeds the opposite
    polarity, far white: `official_depth_image`.)
    """
    inverse = torch.where(mask, 1.0 / depth.clamp_min(1e-6), torch.zeros_like(depth))
    near = inverse.amax(dim=(1, 2, 3), keepdim=True)
    far = torch.where(mask, inverse, near).amin(dim=(1, 2, 3), keepdim=True)
    # A flat object seen head-on has no range: all of it is near.
    value = 1.0 - (1.0 - _FARTHEST) * (near - inverse) / (near - far).clamp_min(1e-6)
    return torch.where(mask, value, torch.zeros_like(value)).expand(-1, 3, -1, -1)


def official_depth_image(
    depth: Float[Tensor, "b 1 h w"], coverage: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b 3 h w"]:
    """Draws depth as PGC-3D's code does, to compare with it: near black, far and background white.

    Depth where the object is, 1.2 times the largest of all views behind it, mixed by coverage; each image from 0 to 1.
    """
    behind = 1.2 * depth.amax()
    mixed = depth * coverage + behind * (1.0 - coverage)
    near, far = mixed.amin(dim=(1, 2, 3), keepdim=True), mixed.amax(dim=(1, 2, 3), keepdim=True)
    return ((mixed - near) / (far - near).clamp_min(1e-6)).expand(-1, 3, -1, -1)


def normal_image(normal: Float[Tensor, "b 3 h w"], mask: Bool[Tensor, "b 1 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Draws normals of camera axes as Bae's estimator does, by which the public normal ControlNets were trained: what
    faces the viewer is blue, the left red, the top green. Behind the object is a wall that faces the viewer.

    The official PGC code gives (-1, 1) where a ControlNet takes (0, 1), in world axes and turned round.
    """
    facing = torch.tensor([0.0, 0.0, 1.0], device=normal.device)[None, :, None, None]
    shown = torch.where(mask, F.normalize(normal, dim=1), facing.expand_as(normal))
    left = torch.tensor([-1.0, 1.0, 1.0], device=normal.device)[None, :, None, None]
    return 0.5 + 0.5 * left * shown


def tile_image(picture: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Draws the render as it is now, blurred: a tile ControlNet was trained to find the detail of small pictures that
    were enlarged."""
    size = picture.shape[2:]
    small = F.interpolate(picture, size=tuple(max(1, side // _TILE) for side in size), mode="area")
    return F.interpolate(small, size=size, mode="bilinear", align_corners=False).clamp(0.0, 1.0)


def shuffled_image(picture: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Pulls a picture to and fro by a smooth random warp, as in the training of shuffle ControlNets: colours and
    patterns stay, what is where does not. The same warp for all pictures and in every run."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((2, 1, _SHUFFLE_CELLS + 2, _SHUFFLE_CELLS + 2), generator=generator)
    places = F.interpolate(coarse, size=picture.shape[2:], mode="bicubic", align_corners=True)
    low, high = places.amin(dim=(2, 3), keepdim=True), places.amax(dim=(2, 3), keepdim=True)
    grid = (2.0 * (places - low) / (high - low) - 1.0)[:, 0].permute(1, 2, 0)
    grid = grid[None].expand(len(picture), -1, -1, -1).to(picture)
    return F.grid_sample(picture, grid, padding_mode="border", align_corners=True)


def edge_image(
    depth: Float[Tensor, "b 1 h w"],
    mask: Bool[Tensor, "b 1 h w"],
    normal: Float[Tensor, "b 3 h w"],
    regions: Int[Tensor, "b 1 h w"],
) -> Float[Tensor, "b 3 h w"]:
    """Draws lines of a pixel's width, white on black as Canny's: silhouettes, folds, sharp edges and the borders of
    materials."""
    lines = torch.zeros_like(mask)
    near = torch.where(mask, 1.0 / depth.clamp_min(1e-6), torch.zeros_like(depth))
    unit = F.normalize(normal, dim=1)
    for dim in (2, 3):
        here, there = _pair(mask, dim)
        inside = here & there
        near_here, near_there = _pair(near, dim)
        differs = here != there
        differs |= inside & ((_pair(unit, dim)[0] * _pair(unit, dim)[1]).sum(dim=1, keepdim=True) < _SHARP)
        region_here, region_there = _pair(regions, dim)
        differs |= inside & (region_here != region_there)
        # The nearer of two neighbours is drawn.
        first = differs & (near_here >= near_there)
        lines |= _placed(first, dim, after=True) | _placed(differs & ~first, dim, after=False)
        lines |= _jumps(near, mask, dim)
    return lines.to(depth.dtype).expand(-1, 3, -1, -1)


def _pair(values: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Each pixel but the last along a side, and the one behind it."""
    count = values.shape[dim] - 1
    return values.narrow(dim, 0, count), values.narrow(dim, 1, count)


def _placed(found: Tensor, dim: int, *, after: bool) -> Tensor:
    """Back in the size of the picture: as the first of each pair, or as the second."""
    empty = torch.zeros_like(found.narrow(dim, 0, 1))
    return torch.cat([found, empty] if after else [empty, found], dim=dim)


def _jumps(near: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Where disparity bends, on the nearer side."""
    count = near.shape[dim] - 2
    before, here, behind = (near.narrow(dim, start, count) for start in range(3))
    inside = mask.narrow(dim, 0, count) & mask.narrow(dim, 1, count) & mask.narrow(dim, 2, count)
    bend = before + behind - 2.0 * here
    found = inside & (bend < -_DEPTH_JUMP * here)
    empty = torch.zeros_like(found.narrow(dim, 0, 1))
    return torch.cat([empty, found, empty], dim=dim)
