# SPDX-License-Identifier: Apache-2.0
"""Material slots as soft regions: texels of one region that are nearly alike become alike, others are left alone.

A slot often holds more than one substance: rust and iron, paint and the steel under its chips. A pull to the mean of
the region makes both wrong. Here every pair of texels of a region attracts each other by Welsch's robust loss (Dennis
and Welsch, 1978), which forgets pairs far apart: each texel climbs to the nearest peak of its region's density
(mean shift; Comaniciu and Meer, 2002), and a region has as many values as its texels have peaks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["RegionOrder", "region_penalty"]


@dataclass(frozen=True, slots=True, eq=False)
class RegionOrder:
    """Texels sorted by region, so that each finds others of its own without a search.

    Attributes:
        order: texels, region after region.
        start: place in `order` where each texel's region begins; count: number of texels in it; rank: the texel's own
            place in it.
        regions: region of each texel.
    """

    order: Int[Tensor, " p"]
    start: Int[Tensor, " p"]
    count: Int[Tensor, " p"]
    rank: Int[Tensor, " p"]
    regions: Int[Tensor, " p"]

    @staticmethod
    def of(regions: Int[Tensor, " p"], count: int) -> RegionOrder:
        """Makes the order for regions numbered 0 to count - 1."""
        order = torch.argsort(regions, stable=True)
        numbers = torch.bincount(regions, minlength=count)
        start = (numbers.cumsum(0) - numbers)[regions]
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        return RegionOrder(order=order, start=start, count=numbers[regions], rank=place - start, regions=regions)

    def partners(self, draws: Float[Tensor, " n"]) -> Int[Tensor, " p"]:
        """Chooses for every texel another one of its region: so many places further as the region's draw in [0, 1)
        says.

        Draws spread evenly give every pair the same chance. The only texel of a region is its own partner.
        """
        shift = 1 + (draws.to(self.order.device)[self.regions] * (self.count - 1)).long()
        return self.order[self.start + (self.rank + shift) % self.count]


def region_penalty(values: Float[Tensor, "p c"], partners: Int[Tensor, " p"], scale: float) -> Float[Tensor, ""]:
    """Returns the mean of Welsch's loss over pairs: half the squared distance d² up to about `scale`, then level at
    scale².

    Args:
        values: of the texels; their distance is Euclidean over the channels.
        partners: another texel of the same region for each.
        scale: distance at which the attraction is strongest; at three times that a hundredth of a parabola's is left.
    """
    squared = (values - values[partners]).square().sum(dim=1)
    return -torch.expm1(squared * (-0.5 / scale**2)).mean() * scale**2
