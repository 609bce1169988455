# SPDX-License-Identifier: Apache-2.0
"""The depth picture that the pocket prior's ControlNet sees, in training and at inference alike."""

import torch
from torch import Tensor

FARTHEST = 0.2


def depth_condition(depth: Tensor, mask: Tensor) -> Tensor:
    """Depth as the ControlNet's conditioning image.

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
