# SPDX-License-Identifier: Apache-2.0
"""No regulation: what the field did before PGC; kept for comparison."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from pgc.gradient_regulation.base import finite_pixels

__all__ = ["Unregulated", "UnregulatedConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnregulatedConfig:
    """Leaves the gradient as it is."""


class Unregulated:
    """Gives the gradient back; non-finite pixels are zeroed as everywhere."""

    def __init__(self, config: UnregulatedConfig) -> None:
        self.config = config

    def regulate(
        self, gradient: Float[Tensor, "b c h w"], covered: Bool[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Returns what `GradientRegulation.regulate` says."""
        return finite_pixels(gradient)[0]
