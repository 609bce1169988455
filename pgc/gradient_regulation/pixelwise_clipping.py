# SPDX-License-Identifier: Apache-2.0
"""PGC-N, pixel-wise gradient clipping by norm: each pixel's gradient keeps its direction, and is at most c long.

Pan et al., "Enhancing High-Resolution 3D Generation through Pixel-wise Gradient Clipping", ICLR 2024
(arXiv 2310.12474v4), eq. 10. The paper writes a norm and proves its bound for the Euclidean one; the official code
takes the largest absolute channel, which lets a gray pixel be √3 times as long. Both are here by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from pgc.gradient_regulation.base import PixelNorm, check_norm, check_threshold, finite_pixels, pixel_norm, shorten

__all__ = ["PixelwiseClipping", "PixelwiseClippingConfig", "clip_gradient_pixelwise"]


def clip_gradient_pixelwise(
    grad: Float[Tensor, "b c h w"], threshold: float, norm: PixelNorm = "l2"
) -> Float[Tensor, "b c h w"]:
    """Applies PGC-N: scales each pixel's gradient so that its norm is at most `threshold`; its direction stays.

    Args:
        grad: ∂L/∂x of the composited render, any real dtype.
        threshold: c > 0; the paper's default is 0.1. Of a gradient that was scaled by S, pass S·c.
        norm: "l2" is the paper's eq. 10; "linf" (largest absolute channel) is what the official code does.

    Returns:
        The clipped gradient. A pixel that holds an infinity or a NaN has no direction, and comes back as zero.

    Raises:
        ConfigError: the threshold is not positive.
    """
    check_threshold(threshold)
    safe, _ = finite_pixels(grad)
    if math.isinf(threshold):
        return safe
    # float32 keeps the square of a large half-precision gradient from overflowing.
    wide = safe.float()
    return shorten(wide, pixel_norm(wide, norm), threshold).to(grad.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelwiseClippingConfig:
    """The settings of PGC-N."""

    threshold: float = 0.1
    """c of eq. 10."""
    norm: PixelNorm = "l2"

    def __post_init__(self) -> None:
        check_threshold(self.threshold)
        check_norm(self.norm)


class PixelwiseClipping:
    """Clips each pixel's gradient."""

    def __init__(self, config: PixelwiseClippingConfig) -> None:
        self.config = config

    def regulate(
        self, gradient: Float[Tensor, "b c h w"], covered: Bool[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Returns what `GradientRegulation.regulate` says."""
        return clip_gradient_pixelwise(gradient, self.config.threshold, self.config.norm)
