# SPDX-License-Identifier: Apache-2.0
"""Maps that a material lacks, as tensors."""

import torch
from torch import Tensor

from pgc.maps import MAPS

__all__ = ["neutral_map"]


def neutral_map(name: str, like: Tensor, dim: int) -> Tensor:
    """Returns a map with its neutral value everywhere (`pgc.maps.MapInfo.neutral`).

    It is filled where `like` lies: a tensor made of numbers would be copied to a card, and waited for, at each call.

    Args:
        like: what the map stands beside; it gives dtype, device and all sides but that of the channels.
        dim: where the channels are.
    """
    one = like.detach().narrow(dim, 0, 1)
    return torch.cat([torch.full_like(one, level) for level in MAPS[name].neutral], dim=dim)
