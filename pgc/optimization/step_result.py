# SPDX-License-Identifier: Apache-2.0
"""What one step of the loop says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

__all__ = ["StepResult"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepResult:
    """What one step did. Arrays are detached and stay on their device."""

    step: int
    """1 after the first step."""
    steps: int
    timesteps: tuple[int, ...]
    gradient_median: float
    """Median over covered pixels of the norm of ∂L/∂x, after regulation."""
    gradient_maximum: float
    non_finite_pixels: int
    """Pixels of all views whose ∂L/∂x was an infinity or a NaN, and counted as zero."""
    image: Float[Tensor, "b 3 h w"]
    """The composited render that was scored."""
    seconds: Mapping[str, float]
    """Time by stage: rasterize, fetch, shade, guidance, backward, other."""
