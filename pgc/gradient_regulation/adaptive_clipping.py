# SPDX-License-Identifier: Apache-2.0
"""PGC-N with a threshold that follows the gradient: a quantile of the norms of the covered pixels of the step.

Pan et al., ICLR 2024, name a threshold that adapts as future work. A fixed c fits one prior, one loss and one guidance
scale; a quantile clips the same share of the pixels whatever these are. It is taken from the pictures of the step
itself: a running mean over steps would lag behind where noise is annealed, and would be a state of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.errors import ConfigError
from pgc.gradient_regulation.base import PixelNorm, finite_pixels, pixel_norm, rank_of

__all__ = ["AdaptiveClipping", "AdaptiveClippingConfig", "clip_gradient_at_quantile", "covered_quantile"]

_PARTS = 1_000_000


def covered_quantile(
    size: Float[Tensor, "b 1 h w"], covered: Bool[Tensor, "b 1 h w"], quantile: float
) -> Float[Tensor, ""]:
    """Returns the norm that a share `quantile` in (0, 1] of the covered pixels does not exceed; 0 without any pixel.

    No pixels are gathered, so that a GPU need not be waited for: uncovered ones are sorted to the end.
    """
    largest = torch.full((), torch.finfo(size.dtype).max, dtype=size.dtype, device=size.device)
    ordered = torch.where(covered, size, largest).flatten().sort().values
    count = covered.sum()
    found = ordered.gather(0, rank_of(count, round(quantile * _PARTS), _PARTS).reshape(1))[0]
    return torch.where(count > 0, found, torch.zeros((), dtype=size.dtype, device=size.device))


def clip_gradient_at_quantile(
    grad: Float[Tensor, "b c h w"], covered: Bool[Tensor, "b 1 h w"], quantile: float, norm: PixelNorm = "l2"
) -> Float[Tensor, "b c h w"]:
    """Applies PGC-N with the `quantile` of the covered pixels' norms as threshold; non-finite pixels become zero."""
    safe = finite_pixels(grad)[0].float()
    size = pixel_norm(safe, norm)
    threshold = covered_quantile(size, covered, quantile)
    scale = (threshold / size.clamp_min(torch.finfo(torch.float32).tiny)).clamp_max(1.0)
    return (safe * scale).to(grad.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveClippingConfig:
    """The settings of PGC-N at a quantile."""

    quantile: float = 0.9
    """Share of the covered pixels that are left as they are."""
    norm: PixelNorm = "l2"

    def __post_init__(self) -> None:
        if not 0.0 < self.quantile <= 1.0:
            raise ConfigError(f"regulation.quantile is {self.quantile}; it must lie in (0, 1].")
        if self.norm not in ("l2", "linf"):
            raise ConfigError(f"regulation.norm is {self.norm!r}; it must be 'l2' or 'linf'.")


class AdaptiveClipping:
    """Clips each pixel's gradient at a quantile of all."""

    def __init__(self, config: AdaptiveClippingConfig) -> None:
        self.config = config

    def regulate(
        self, gradient: Float[Tensor, "b c h w"], covered: Bool[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Returns what `GradientRegulation.regulate` says."""
        return clip_gradient_at_quantile(gradient, covered, self.config.quantile, self.config.norm)
