# SPDX-License-Identifier: Apache-2.0
"""What the pocket prior's ControlNet sees, in training and at inference alike: depth, and light where it is told."""

import torch
from torch import Tensor

FARTHEST = 0.2


def depth_condition(depth: Tensor, mask: Tensor) -> Tensor:
    """Returns depth as the ControlNet's conditioning image.

    ``depth`` [B, 1, H, W] is the distance along the view axis in world units (any positive scale),
    ``mask`` [B, 1, H, W] is true (or > 0.5) on the object. Returns float [B, 3, H, W] in [0, 1],
    three equal channels: the nearest visible point of each image is 1, its farthest visible point
    0.2, linear in depth between, and the background 0. An object of constant depth is 1 all over.
    """
    inside = mask > 0.5
    far_away = torch.finfo(depth.dtype).max
    near = torch.where(inside, depth, far_away).amin(dim=(1, 2, 3), keepdim=True)
    far = torch.where(inside, depth, -far_away).amax(dim=(1, 2, 3), keepdim=True)
    span = (far - near).clamp_min(1e-6)
    value = 1.0 - (1.0 - FARTHEST) * (depth - near) / span
    value = torch.where(inside, value.clamp(FARTHEST, 1.0), torch.zeros_like(depth))
    return value.expand(-1, 3, -1, -1)


def lit_condition(depth_picture: Tensor, shading: Tensor | None, channels: int) -> Tensor:
    """Returns the second edition's conditioning image: the depth picture, and behind it the known materials' picture.

    ``depth_picture`` [B, 3, H, W] is that of ``depth_condition``; ``shading`` [B, channels - 3, H, W] shows known
    materials under the picture's light, sRGB in [0, 1] and 0 off the object (``pgc.rendering.known_materials``).
    Without it those channels are 0, which is what training calls "not told". Returns [B, channels, H, W].
    """
    if shading is None:
        batch, depth_channels, height, width = depth_picture.shape
        shading = depth_picture.new_zeros((batch, channels - depth_channels, height, width))
    return torch.cat([depth_picture, shading.to(depth_picture)], dim=1)
