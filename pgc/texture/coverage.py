# SPDX-License-Identifier: Apache-2.0
"""Which texels any camera saw, and which ones what is seen reads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from pgc.texture.mip_fetch import FetchPlan
from pgc.texture.texel_surface import TexelSurface

__all__ = ["combine_seen", "empty_seen", "mark_seen", "mip_weights"]

_RING_WEIGHT = 0.05
"""Weight in the mips of texels that only bilinear fetches at a chart's border read."""


def empty_seen(tiles: int, size: int, levels: int, device: torch.device | str = "cpu") -> list[Tensor]:
    """Returns masks with nothing seen: one [tiles, S/2^l, S/2^l] bool tensor a level."""
    return [
        torch.zeros(tiles, size >> level, size >> level, dtype=torch.bool, device=device) for level in range(levels)
    ]


def mark_seen(seen: Sequence[Tensor], plan: FetchPlan) -> None:
    """Marks, in place, the texels that a batch of pixels fetches, each at the finer of its two mip levels."""
    for level in range(len(plan.bounds) - 1):
        part = slice(plan.bounds[level], plan.bounds[level + 1])
        if part.stop == part.start:
            continue
        size = int(seen[level].shape[-1])
        x, y = plan.u[part] * size - 0.5, (1.0 - plan.v[part]) * size - 0.5
        flat = seen[level].view(-1)
        for column in (x.floor().long(), x.floor().long() + 1):
            for row in (y.floor().long(), y.floor().long() + 1):
                if plan.repeat:
                    c, r = column % size, row % size
                else:
                    c, r = column.clamp(0, size - 1), row.clamp(0, size - 1)
                flat[(plan.tile[part] * size + r) * size + c] = True


def mip_weights(surface: TexelSurface) -> Float[Tensor, "s s"]:
    """Returns how much each texel of a tile counts in the mips."""
    inside = torch.from_numpy(surface.inside)
    touched = torch.from_numpy(surface.face_index >= 0)
    return inside.float() + _RING_WEIGHT * (touched & ~inside).float()


def combine_seen(seen: Sequence[Tensor]) -> Bool[Tensor, "tiles s s"]:
    """Marks the texels of level 0 that were seen at any level: a texel seen at a coarse mip covers those below it."""
    current = seen[-1]
    for finer in reversed(seen[:-1]):
        grown = F.interpolate(current[:, None].float(), scale_factor=2, mode="nearest")[:, 0] > 0.5
        current = finer | grown
    return current
