# SPDX-License-Identifier: Apache-2.0
"""What every regulation has in common: it takes the whole ∂L/∂x of a step's pictures, and gives back another one.

The official code hooks the composited render, so that whatever reaches a pixel is regulated: the gradient through the
encoder and residuals in the image alike, background included. So is it here.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pgc.errors import ConfigError

__all__ = ["GradientRegulation", "PixelNorm", "check_threshold", "finite_pixels", "pixel_norm", "rank_of"]

PixelNorm = Literal["l2", "linf"]
""""l2": the paper's eq. 10; "linf": what the official code does."""


@runtime_checkable
class GradientRegulation(Protocol):
    """Regulates the gradient on the rendered pictures."""

    def regulate(
        self, gradient: Float[Tensor, "b c h w"], covered: Bool[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Returns the regulated ∂L/∂x; pixels that hold an infinity or a NaN have no direction and come back as zero.

        Args:
            gradient: ∂L/∂x of the composited render, any real dtype.
            covered: where the mesh is, for methods that look at all its pixels together.
        """
        ...


def pixel_norm(grad: Float[Tensor, "b c h w"], norm: PixelNorm = "l2") -> Float[Tensor, "b 1 h w"]:
    """Returns the size of each pixel's gradient over its channels: Euclidean, or the largest absolute channel."""
    if norm == "l2":
        return torch.linalg.vector_norm(grad, dim=1, keepdim=True)
    return grad.abs().amax(dim=1, keepdim=True)


def finite_pixels(gradient: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b c h w"], Bool[Tensor, "b 1 h w"]]:
    """Returns the gradient with zeros at pixels that hold an infinity or a NaN, and which pixels these were."""
    finite = torch.isfinite(gradient).all(dim=1, keepdim=True)
    return torch.where(finite, gradient, torch.zeros((), dtype=gradient.dtype, device=gradient.device)), ~finite


def check_threshold(threshold: float) -> None:
    """Raises ConfigError where a threshold is not a positive number; infinity regulates nothing."""
    if math.isnan(threshold) or not threshold > 0:
        raise ConfigError(f"regulation.threshold is {threshold}; it must be above 0 (the paper uses 0.1).")


def rank_of(count: Int[Tensor, ""], share: int, of: int) -> Int[Tensor, ""]:
    """Returns the index, from 0, of the value that `share` / `of` of `count` ordered values do not exceed; 0 for none.

    Whole numbers, since float32 miscounts pixels above 16 million and Apple's GPUs know no float64.
    """
    return ((count * share + (of - 1)) // of - 1).clamp_min(0)
