# SPDX-License-Identifier: Apache-2.0
"""PGC-N with a threshold that follows the gradient: a quantile of the norms of the covered pixels of the step.

Pan et al., ICLR 2024, name a threshold that adapts as future work. A fixed c fits one prior, one loss and one guidance
scale; a quantile clips the same share of the pixels whatever these are. It is taken from the pictures of the step
itself: a running mean over steps would lag behind where noise is annealed, and would be a state of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from pgc.errors import ConfigError
from pgc.gradient_regulation.base import PixelNorm, check_norm, covered_quantiles, finite_pixels, pixel_norm, shorten

__all__ = ["AdaptiveClipping", "AdaptiveClippingConfig", "clip_gradient_at_quantile"]


def clip_gradient_at_quantile(
    grad: Float[Tensor, "b c h w"], covered: Bool[Tensor, "b 1 h w"], quantile: float, norm: PixelNorm = "l2"
) -> Float[Tensor, "b c h w"]:
    """Applies PGC-N with the `quantile` of the covered pixels' norms as threshold; non-finite pixels become zero."""
    safe = finite_pixels(grad)[0].float()
    size = pixel_norm(safe, norm)
    (threshold,) = covered_quantiles(size, covered, (quantile,))
    return shorten(safe, size, threshold).to(grad.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveClippingConfig:
    """The settings of PGC-N at a quantile."""

    quantile: float = 0.9
    """Share of the covered pixels that are left as they are."""
    norm: PixelNorm = "l2"

    def __post_init__(self) -> None:
        if not 0.0 < self.quantile <= 1.0:
            raise ConfigError(f"regulation.quantile is {self.quantile}; it must lie in (0, 1].")
        check_norm(self.norm)


class AdaptiveClipping:
    """Clips each pixel's gradient at a quantile of all."""

    def __init__(self, config: AdaptiveClippingConfig) -> None:
        self.config = config

    def regulate(
        self, gradient: Float[Tensor, "b c h w"], covered: Bool[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Returns what `GradientRegulation.regulate` says."""
        return clip_gradient_at_quantile(gradient, covered, self.config.quantile, self.config.norm)
