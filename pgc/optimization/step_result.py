# SPDX-License-Identifier: Apache-2.0
"""What one step of the loop says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from pgc.optimization.gradient_statistics import GradientStatistics

__all__ = ["StepResult"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepResult:
    """What one step did. Arrays are detached and stay on their device."""

    step: int
    """1 after the first step."""
    steps: int
    share: float
    """Of the run's work that is done by now, above 0 and 1 at the end: a step of a warm start looks at more views."""
    timesteps: tuple[int, ...]
    gradient: GradientStatistics | None
    """What regulation did to ∂L/∂x in the step's first update; None for a step of a warm start, which has none."""
    image: Float[Tensor, "b 3 h w"]
    """The composited render that was scored."""
    image_gradient: Float[Tensor, "b c h w"] | None
    """∂L/∂x of the first update as regulation left it; None as above."""
    seconds: Mapping[str, float]
    """Time by stage: rasterize, fetch, shade, guidance, backward, other."""
