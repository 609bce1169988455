# SPDX-License-Identifier: Apache-2.0
"""The artist's own triangles, moved: topology and UVs stay."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.errors import ConfigError
from pgc.shape.geometry.large_steps import SmoothingSolve
from pgc.shape.geometry.regularizers import SurfacePenaltyConfig, surface_penalty
from pgc.shape.rendering.moving_mesh import MovingMesh

__all__ = ["VertexOffsets", "VertexOffsetsConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VertexOffsetsConfig:
    """How vertices are learnt."""

    smoothness: float = 10.0
    """λ of `large_steps`: how far a gradient spreads, in edges. The paper's 19 is for meshes of tens of thousands of
    vertices. 0: each vertex by itself."""
    rate: float = 8.0
    """Learning rate of vertices over the run's: a uniform step moves most of them by a fraction of it."""
    color_rate: float = 2.0
    """Learning rate of colours over the run's."""
    surface: SurfacePenaltyConfig = field(default_factory=SurfacePenaltyConfig)

    def __post_init__(self) -> None:
        for name in ("smoothness", "rate", "color_rate"):
            if not (getattr(self, name) >= 0.0 and math.isfinite(getattr(self, name))):
                raise ConfigError(f"offsets.{name} is {getattr(self, name)}; it must be 0 or more.")


class VertexOffsets(torch.nn.Module):
    """Vertices through a smoothing solve, with a colour each."""

    faces: Tensor

    def __init__(
        self,
        positions: Float[Tensor, "v 3"],
        faces: Int[Tensor, "f 3"],
        config: VertexOffsetsConfig,
        *,
        color: float = 0.5,
    ) -> None:
        super().__init__()
        self.config = config
        self._solve = SmoothingSolve(faces, len(positions), config.smoothness)
        self.register_buffer("faces", faces, persistent=False)
        self.learnt = torch.nn.Parameter(self._solve.inverse(positions))
        self.colors = torch.nn.Parameter(torch.full_like(positions, color))

    @property
    def vanished(self) -> bool:
        """Never: its triangles stay."""
        return False

    @property
    def penalized(self) -> bool:
        """See `Geometry.penalized`."""
        return self.config.surface.is_on

    def mesh(self) -> MovingMesh:
        """Returns what `Geometry.mesh` says."""
        return MovingMesh(positions=self._solve(self.learnt), faces=self.faces, colors=self.colors)

    def penalty(self, mesh: MovingMesh) -> Float[Tensor, ""]:
        """Returns what `Geometry.penalty` says."""
        return surface_penalty(self.config.surface, mesh)

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Returns a uniform group of vertices, and one of colours."""
        return [
            {"params": [self.learnt], "lr": learning_rate * self.config.rate},
            {"params": [self.colors], "lr": learning_rate * self.config.color_rate, "uniform": False},
        ]

    @torch.no_grad()
    def after_step(self) -> None:
        """Keeps colours in [0, 1]."""
        self.colors.clamp_(0.0, 1.0)
