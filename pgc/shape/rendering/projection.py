# SPDX-License-Identifier: Apache-2.0
"""From vertices to the picture, with gradients.

A pixel's centre in NDC is p. With a corner's clip position (x, y, w), a = (x, y) - p w vanishes where the corner is at
the pixel. Weights b of the three corners with Σ b a = 0 and Σ b = 1 are perspective-correct by construction (Olano and
Greer, "Triangle Scan Conversion using 2D Homogeneous Coordinates", 1997): b is the cross product of the other two a,
over the sum of all three.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pgc.cameras import Camera

__all__ = ["clip_positions", "picture_positions", "pixel_weights"]

_X_Y_W = [0, 1, 3]
_NARROWEST = 0.1
"""Height in pixels of a triangle that still has gradients by its weights."""


def clip_positions(positions: Float[Tensor, "v 3"], cameras: Sequence[Camera]) -> Float[Tensor, "b v 3"]:
    """Returns (x, y, w) in the clip space of each camera: x/w right and y/w up, in [-1, 1] inside the picture; w is the
    distance in front of a perspective camera, and 1 for an orthographic one."""
    rows = np.stack(
        [camera.projection.astype(np.float64) @ camera.world_to_camera.astype(np.float64) for camera in cameras]
    )[:, _X_Y_W]
    matrices = torch.from_numpy(rows).to(positions)
    # Not by a matrix product, which a card may do in half the digits (TF32).
    turned = (positions[None, :, None, :] * matrices[:, None, :, :3]).sum(dim=-1)
    return turned + matrices[:, None, :, 3]


def picture_positions(clip: Float[Tensor, "... 3"], resolution: tuple[int, int]) -> Float[Tensor, "... 2"]:
    """Returns picture coordinates: x right in [0, W], y down in [0, H], pixel centres at halves."""
    height, width = resolution
    ndc = clip[..., :2] / clip[..., 2:]
    return torch.stack([(ndc[..., 0] + 1.0) * (0.5 * width), (1.0 - ndc[..., 1]) * (0.5 * height)], dim=-1)


def pixel_weights(
    clip: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"], face_index: Int[Tensor, "b h w"]
) -> Float[Tensor, "b h w 3"]:
    """Computes the weights of the visible triangle's corners at each pixel's centre; 0 where nothing is seen."""
    views, height, width = face_index.shape
    seen = face_index >= 0
    corners = faces[face_index.clamp_min(0).long()]
    view = torch.arange(views, device=clip.device)[:, None, None, None]
    found = clip[view, corners]
    x = (2.0 * torch.arange(width, device=clip.device, dtype=clip.dtype) + 1.0) / width - 1.0
    y = 1.0 - (2.0 * torch.arange(height, device=clip.device, dtype=clip.dtype) + 1.0) / height
    across = found[..., 0] - x[None, None, :, None] * found[..., 2]
    up = found[..., 1] - y[None, :, None, None] * found[..., 2]
    areas = across[..., [1, 2, 0]] * up[..., [2, 0, 1]] - across[..., [2, 0, 1]] * up[..., [1, 2, 0]]
    total = areas.sum(dim=-1, keepdim=True)
    # A triangle that is seen edge-on has no weights; a third each keeps the picture, without a gradient.
    sound = seen[..., None] & (total.abs() > torch.finfo(clip.dtype).tiny)
    weights = areas / torch.where(sound, total, 1.0)
    weights = torch.where(_slivers(found, (height, width))[..., None], weights.detach(), weights)
    return torch.where(sound, weights, torch.where(seen[..., None], 1.0 / 3.0, 0.0))


@torch.no_grad()
def _slivers(corners: Float[Tensor, "b h w 3 3"], resolution: tuple[int, int]) -> Bool[Tensor, "b h w"]:
    """Says where a pixel's triangle is so narrow in the picture that its weights would outshout all others: their
    gradient grows as one over its height. Neighbours, and the outline, move its corners."""
    w = corners[..., 2]
    ahead = (w > 0.0).all(dim=-1)
    places = picture_positions(torch.where(ahead[..., None, None], corners, 1.0), resolution)
    sides = places[..., [1, 2, 0], :] - places
    doubled = (sides[..., 0, 0] * sides[..., 1, 1] - sides[..., 0, 1] * sides[..., 1, 0]).abs()
    longest = sides.square().sum(dim=-1).amax(dim=-1).sqrt()
    return ahead & (doubled < _NARROWEST * longest)
