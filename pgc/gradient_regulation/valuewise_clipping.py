# SPDX-License-Identifier: Apache-2.0
"""PGC-V, pixel-wise gradient clipping by value: each channel by itself is at most c.

Pan et al., ICLR 2024, §4.4; the official code's type 1. The direction of a clipped pixel changes, and with it the hue
of what is learnt; the paper keeps PGC-V to show just that.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from pgc.gradient_regulation.base import check_threshold, finite_pixels

__all__ = ["ValuewiseClipping", "ValuewiseClippingConfig", "clip_gradient_valuewise"]


def clip_gradient_valuewise(grad: Float[Tensor, "b c h w"], threshold: float) -> Float[Tensor, "b c h w"]:
    """Clamps every channel of every pixel to ± `threshold`; non-finite pixels come back as zero.

    Raises:
        ConfigError: the threshold is not positive.
    """
    check_threshold(threshold)
    return finite_pixels(grad)[0].clamp(-threshold, threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuewiseClippingConfig:
    """The settings of PGC-V."""

    threshold: float = 0.1

    def __post_init__(self) -> None:
        check_threshold(self.threshold)


class ValuewiseClipping:
    """Clamps each channel."""

    def __init__(self, config: ValuewiseClippingConfig) -> None:
        self.config = config

    def regulate(
        self, gradient: Float[Tensor, "b c h w"], covered: Bool[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Returns what `GradientRegulation.regulate` says."""
        return clip_gradient_valuewise(gradient, self.config.threshold)
