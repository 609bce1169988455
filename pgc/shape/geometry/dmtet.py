# SPDX-License-Identifier: Apache-2.0
"""A signed distance on a tetrahedral grid: Shen et al., "Deep Marching Tetrahedra", NeurIPS 2021.

Each vertex of the grid has a signed distance, a small offset of its place and a colour; the mesh is where the distance
crosses zero, so that its topology may change. The values are learnt as they are, without a network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from pgc.errors import ConfigError
from pgc.shape.geometry.regularizers import SurfacePenaltyConfig, surface_penalty
from pgc.shape.geometry.tetrahedra import TetrahedralGrid, kuhn_grid, marching_tetrahedra
from pgc.shape.rendering.moving_mesh import MovingMesh

__all__ = ["DMTet", "DMTetConfig", "sign_change_penalty"]

_MOST_CUBES = 96
_FARTHEST = 0.4
"""Offsets reach this share of a cell: two neighbours can then not change places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DMTetConfig:
    """The grid and how it is learnt."""

    cubes: int = 32
    """Along each side."""
    half_extent: float = 0.96
    """The grid fills [-half_extent, half_extent]³; a normalised mesh reaches 0.8."""
    sign_changes: float = 0.02
    """Weight of `sign_change_penalty`."""
    color_rate: float = 2.0
    """Learning rate of colours over that of distances."""
    surface: SurfacePenaltyConfig = field(default_factory=lambda: SurfacePenaltyConfig(laplacian=0.02))

    def __post_init__(self) -> None:
        if not 4 <= self.cubes <= _MOST_CUBES:
            raise ConfigError(f"dmtet.cubes is {self.cubes}; it must lie in [4, {_MOST_CUBES}].")
        if not (0.0 < self.half_extent < 10.0):
            raise ConfigError(f"dmtet.half_extent is {self.half_extent}; it must lie between 0 and 10.")
        for name in ("sign_changes", "color_rate"):
            if not (getattr(self, name) >= 0.0 and math.isfinite(getattr(self, name))):
                raise ConfigError(f"dmtet.{name} is {getattr(self, name)}; it must be 0 or more.")


def sign_change_penalty(values: Float[Tensor, " n"], edges: Int[Tensor, "e 2"]) -> Float[Tensor, ""]:
    """Returns how far from agreeing the signs at the ends of crossed edges are, a mean over these.

    As in Munkberg et al., "Extracting Triangular 3D Models, Materials, and Lighting From Images", CVPR 2022, eq. 2: the
    cross entropy of each end's value against the other one's sign. It keeps inner walls and crumbs from appearing.
    """
    ends = values[edges]
    crossed = ends[(ends.detach()[:, 0] < 0.0) != (ends.detach()[:, 1] < 0.0)]
    other = (crossed.detach().flip(1) > 0.0).to(values)
    return F.binary_cross_entropy_with_logits(crossed, other, reduction="sum") / max(len(crossed), 1)


class DMTet(torch.nn.Module):
    """See the module's text."""

    def __init__(self, grid: TetrahedralGrid, distances: Float[Tensor, " n"], config: DMTetConfig) -> None:
        """`distances`: signed, of the grid's vertices from the shape to begin with; negative inside."""
        super().__init__()
        self.config, self.grid = config, grid
        self.distances = torch.nn.Parameter(distances.detach().clone())
        self.offsets = torch.nn.Parameter(torch.zeros_like(grid.positions))
        self.colors = torch.nn.Parameter(torch.full_like(grid.positions, 0.5))
        self._vanished = False
        self._before: tuple[Tensor, Tensor] | None = None
        """Distances and offsets of the newest shape that has a surface."""
        self.after_step()
        # What is loaded is the newest shape, and not what the run began with.
        self.register_load_state_dict_post_hook(lambda module, keys: module.after_step())

    @staticmethod
    def grid_of(config: DMTetConfig) -> TetrahedralGrid:
        """Builds the grid that a configuration describes."""
        return kuhn_grid(config.cubes, config.half_extent)

    @property
    def vanished(self) -> bool:
        """See `Geometry.vanished`."""
        return self._vanished

    @property
    def penalized(self) -> bool:
        """See `Geometry.penalized`."""
        return self.config.sign_changes > 0.0 or self.config.surface.is_on

    def mesh(self) -> MovingMesh:
        """Returns what `Geometry.mesh` says.

        Raises:
            MeshError: the shape has vanished.
        """
        places = self.grid.positions + self.offsets.tanh() * (_FARTHEST * self.grid.cell)
        positions, faces, colors = marching_tetrahedra(self.grid, places, self.distances, self.colors)
        return MovingMesh(positions=positions, faces=faces, colors=colors)

    def penalty(self, mesh: MovingMesh) -> Float[Tensor, ""]:
        """Returns what `Geometry.penalty` says."""
        total = surface_penalty(self.config.surface, mesh)
        if self.config.sign_changes:
            # In cells, so that the penalty means the same on any grid.
            changes = sign_change_penalty(self.distances / self.grid.cell, self.grid.edges)
            total = total + self.config.sign_changes * changes
        return total

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Returns groups of distances, offsets and colours. None is uniform: most of the grid has no gradient."""
        return [
            {"params": [self.distances], "lr": learning_rate, "uniform": False},
            {"params": [self.offsets], "lr": learning_rate, "uniform": False},
            {"params": [self.colors], "lr": learning_rate * self.config.color_rate, "uniform": False},
        ]

    @torch.no_grad()
    def after_step(self) -> None:
        """Keeps colours in [0, 1], and the border of the grid outside of the shape, so that it stays closed. A step
        after which nothing is inside is taken back."""
        self.colors.clamp_(0.0, 1.0)
        least = torch.full_like(self.distances, 0.1 * self.grid.cell)
        self.distances.copy_(torch.where(self.grid.at_border, self.distances.maximum(least), self.distances))
        # The border is outside: one vertex inside makes a surface. One that is no number is neither.
        if bool((self.distances < 0.0).any()) and bool(torch.isfinite(self.distances).all()):
            self._before = self.distances.detach().clone(), self.offsets.detach().clone()
        elif self._before is not None:
            self._vanished = True
            self.distances.copy_(self._before[0])
            self.offsets.copy_(self._before[1])
