# SPDX-License-Identifier: Apache-2.0
"""A pull of the render's colours towards those of a picture, wherever they stand in it.

The sliced Wasserstein distance (Rabin et al., "Wasserstein Barycenter and its Application to Texture Mixing", 2011) of
two sets of colours: along each of some directions both are sorted, and equal ranks are compared. Its gradient is a
residual in the image, so that it is weighted and regulated like any other of ∂L/∂x.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["palette_distance", "palette_pull"]

_DIRECTIONS = 24
_MOST_COLORS = 65536


def palette_pull(
    image: Float[Tensor, "b 3 h w"],
    covered: Bool[Tensor, "b 1 h w"],
    likeness: Float[Tensor, "1 3 y x"],
    generator: torch.Generator,
) -> Float[Tensor, "b 3 h w"]:
    """Returns how far the colour of each covered pixel is from where the picture's palette would have it.

    Subtracted whole, it gives the covered pixels of all views together the palette of the picture, as far as so many
    directions tell.

    Args:
        image: the views.
        covered: where the mesh is.
        likeness: the picture.
        generator: for the directions; on the CPU.
    """
    colors = image.permute(0, 2, 3, 1)[covered[:, 0]]
    pull = torch.zeros_like(image).permute(0, 2, 3, 1)
    if len(colors):
        moved = torch.zeros_like(colors)
        wanted = _colors(likeness)
        for direction in _directions(generator).to(colors):
            order, _, target = _ranked(colors, wanted, direction)
            moved[order] += ((colors[order] @ direction) - target)[:, None] * direction
        # Directions of the sphere average to a third of the identity.
        pull[covered[:, 0]] = 3.0 / _DIRECTIONS * moved
    return pull.permute(0, 3, 1, 2)


def palette_distance(colors: Float[Tensor, "n 3"], likeness: Float[Tensor, "1 3 y x"]) -> float:
    """Returns the sliced Wasserstein-2 distance of some colours and those of a picture, over fixed directions."""
    wanted, total = _colors(likeness), 0.0
    for direction in _directions(torch.Generator().manual_seed(0)).to(colors):
        _, have, target = _ranked(colors, wanted, direction)
        total += float((have - target).square().mean())
    return (total / _DIRECTIONS) ** 0.5


def _colors(likeness: Tensor) -> Tensor:
    colors = likeness[0].flatten(1).T
    return colors[:: max(1, len(colors) // _MOST_COLORS)]


def _directions(generator: torch.Generator) -> Tensor:
    return F.normalize(torch.randn((_DIRECTIONS, 3), generator=generator), dim=1)


def _ranked(colors: Tensor, wanted: Tensor, direction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The order of the colours along a direction, where they stand there, and where the other set's equals do."""
    along, order = (colors @ direction).sort()
    other, _ = (wanted @ direction).sort()
    rank = (torch.arange(len(along), device=along.device) + 0.5) / len(along) * len(other)
    return order, along, other[rank.long().clamp_max(len(other) - 1)]
