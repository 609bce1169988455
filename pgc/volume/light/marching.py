# SPDX-License-Identifier: Apache-2.0
"""Light along rays through a volume, front to back, with empty space left out.

    w_i = T_i (1 - exp(-σ_i δ)),   T_i = exp(-Σ_{j<i} σ_j δ)

Max, "Optical Models for Direct Volume Rendering", 1995, as in Mildenhall et al., "NeRF", ECCV 2020, eq. 3, with steps
of one length. Places in unoccupied cells are not asked for, nor those behind which a ray has ended (Müller et al.,
2022, appendix C). Steps do not grow with the distance, since objects here fill the picture at one distance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.errors import ConfigError
from pgc.volume.light.rays import Rays, box_spans

__all__ = ["MarchConfig", "Marched", "march", "segment_weights"]

Field = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Places [n, 3] to densities [n] and colours [n, 3]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarchConfig:
    """How finely rays are looked at."""

    step: float = 0.04
    """Length between two looks, in units of the normalised space."""
    steps_at_once: int = 16
    """Between two questions whether a ray has ended."""
    ends_below: float = 1e-3
    """Share of its light at which a ray has ended. 0: never."""

    def __post_init__(self) -> None:
        if not (0.0 < self.step <= 1.0) or self.steps_at_once < 1 or not 0.0 <= self.ends_below < 1.0:
            raise ConfigError(
                f"Got steps of {self.step}, {self.steps_at_once} at once, rays that end below {self.ends_below}; "
                "expected a step in (0, 1], 1 or more, and a share in [0, 1)."
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Marched:
    """What rays met; all on the graph of the field."""

    color: Float[Tensor, "n 3"]
    """Σ w c: colours times opacity."""
    opacity: Float[Tensor, " n"]
    """Σ w, in [0, 1]."""
    distance: Float[Tensor, " n"]
    """Σ w t: distance from the ray's origin times opacity."""
    looks: int
    """At how many places the field was asked for."""


def segment_weights(optical: Float[Tensor, "n s"], light: Float[Tensor, " n"]) -> Float[Tensor, "n s"]:
    """Returns what each step contributes, of optical lengths σδ and the light that is left before the first one."""
    before = torch.cumsum(optical, dim=1) - optical
    return light[:, None] * torch.exp(-before) * -torch.expm1(-optical)


def march(
    field: Field,
    rays: Rays,
    config: MarchConfig,
    *,
    occupied: Callable[[Tensor], Bool[Tensor, " m"]] | None = None,
    shift: Float[Tensor, " n"] | None = None,
) -> Marched:
    """Sends rays through the box of a volume.

    Args:
        field: what is where.
        rays: from any place.
        config: how finely.
        occupied: says of places whether anything can be there; None: everywhere.
        shift: by how much of a step each ray's looks are moved, in [0, 1); None: by half a step.
    """
    enters, leaves = box_spans(rays)
    count = math.ceil(float((leaves - enters).max()) / config.step) if len(enters) else 0
    moved = torch.full_like(enters, 0.5) if shift is None else shift.to(enters)
    light, looks = torch.ones_like(enters), 0
    color, opacity, distance = torch.zeros_like(rays.origins), torch.zeros_like(enters), torch.zeros_like(enters)
    for first in range(0, count, config.steps_at_once):
        number = torch.arange(first, min(first + config.steps_at_once, count), device=enters.device)
        at = enters[:, None] + (number + moved[:, None]) * config.step
        wanted = (at < leaves[:, None]) & (light.detach() > config.ends_below)[:, None]
        ray, along = wanted.nonzero(as_tuple=True)
        places = rays.origins[ray] + rays.directions[ray] * at[ray, along, None]
        if occupied is not None:
            kept = occupied(places)
            ray, along, places = ray[kept], along[kept], places[kept]
        if not len(places):
            continue
        looks += len(places)
        density, colors = field(places)
        optical = torch.zeros_like(at).index_put((ray, along), density * config.step)
        weights = segment_weights(optical, light)
        own = weights[ray, along]
        color = color.index_add(0, ray, own[:, None] * colors)
        opacity = opacity + weights.sum(dim=1)
        distance = distance + (weights * at).sum(dim=1)
        light = light * torch.exp(-optical.sum(dim=1))
    return Marched(color=color, opacity=opacity, distance=distance, looks=looks)
