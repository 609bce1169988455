# SPDX-License-Identifier: Apache-2.0
"""A volume as a function of the place: how dense it is there, and of what colour.

The grid and network of Müller et al., "Instant Neural Graphics Primitives", 2022 (`pgc.texture.hash_field`). Before
its activation the density has a part that is not learnt and says where the volume begins: as in Lin et al., "Magic3D",
CVPR 2023, section 4.1, λ(1 - |x|/ρ) under a softplus, here for any shape by its signed distance d, -λ d/ρ. Poole et
al., "DreamFusion", 2022, take an exponential; Stable-DreamFusion offers both, and so does this.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pgc.errors import ConfigError
from pgc.texture.hash_field import HashField

__all__ = ["Activation", "VolumeField", "VolumeFieldConfig", "ball_distances", "grid_places"]

Activation = Literal["softplus", "exp"]
_CHANNELS = 4
_HIGHEST_EXPONENT = 12.0
"""exp beyond it has no use: every ray ends there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeFieldConfig:
    """Settings of the grid, its network and what becomes of their outputs.

    Raises:
        ConfigError: a value is out of range.
    """

    grid_levels: int = 8
    features: int = 2
    coarsest_cells: int = 8
    finest_cells: int = 128
    rows: int = 1 << 15
    """Of one level at most. Stable-DreamFusion has 16 levels to 2,048 cells with 524,288 rows, for a GPU."""
    hidden: int = 32
    network_rate: float = 0.1
    """The network's learning rate over the grid's."""
    seed: int = 0
    activation: Activation = "softplus"
    start_density: float = 10.0
    """λ: how much denser the middle of the starting shape is than the zero of its distances, before the activation."""
    start_scale: float = 0.5
    """ρ: the depth below the surface at which it is, in units of the normalised space."""

    def __post_init__(self) -> None:
        counts = (self.grid_levels, self.features, self.coarsest_cells, self.rows, self.hidden)
        if min(counts) < 1 or self.finest_cells < self.coarsest_cells or not self.network_rate > 0:
            raise ConfigError(
                f"Got a volume of {self.grid_levels} levels, {self.coarsest_cells} to {self.finest_cells} cells, "
                f"{self.rows} rows; expected numbers above 0, the finest not below the coarsest."
            )
        for name in ("start_density", "start_scale"):
            if not (getattr(self, name) > 0.0 and math.isfinite(getattr(self, name))):
                raise ConfigError(f"volume.{name} is {getattr(self, name)}; it must be above 0.")

    def level_of(self, density: float) -> float:
        """Returns the level, which is the density before its activation, at which the density is this one, above 0."""
        return math.log(math.expm1(density)) if self.activation == "softplus" else math.log(density)

    def depth_of(self, density: float) -> float:
        """Returns how far below the zero of its distances a starting shape has this density, in units of the normalised
        space."""
        return self.level_of(density) * self.start_scale / self.start_density


def grid_places(side: int) -> Float[Tensor, "n 3"]:
    """Returns the places of a cubic grid over [-1, 1]³, `side` along each axis; z is outermost, x changes fastest."""
    line = torch.linspace(-1.0, 1.0, side)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    return torch.stack([x, y, z], dim=-1).reshape(-1, 3)


def ball_distances(side: int, radius: float) -> Float[Tensor, "s s s"]:
    """Returns the signed distances of a ball around the origin at `grid_places`."""
    return (grid_places(side).norm(dim=1) - radius).reshape(side, side, side)


class VolumeField(HashField):
    """Density and colour of places in [-1, 1]³."""

    start: Tensor

    def __init__(
        self, config: VolumeFieldConfig, start: Float[Tensor, "s s s"], device: torch.device | str = "cpu"
    ) -> None:
        """`start`: signed distances of the shape that the volume begins as, at `grid_places`; negative inside."""
        super().__init__(config, _CHANNELS, device)
        self.config = config
        self.register_buffer("start", start.detach().clone().to(device))

    def at(self, places: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
        """Returns the density, per unit of length, and the colour, sRGB in [0, 1]."""
        outputs = self.outputs_at(places)
        return self._activated(outputs[:, 0] + self._bias(places)), torch.sigmoid(outputs[:, 1:])

    def density_at(self, places: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Returns the density alone."""
        return self._activated(self.level_at(places))

    def level_at(self, places: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Returns what the density is before its activation, which grows with it."""
        return self.outputs_at(places)[:, 0] + self._bias(places)

    def _activated(self, level: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        return F.softplus(level) if self.config.activation == "softplus" else level.clamp_max(_HIGHEST_EXPONENT).exp()

    def _bias(self, places: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        found = F.grid_sample(
            self.start[None, None], places[None, None, None], align_corners=True, padding_mode="border"
        )
        return found.reshape(-1) * (-self.config.start_density / self.config.start_scale)
