# SPDX-License-Identifier: Apache-2.0
"""What every regulation has in common: it takes the whole ∂L/∂x of a step's pictures, and gives back another one.

The official code hooks the composited render, so that whatever reaches a pixel is regulated: the gradient through the
encoder and residuals in the image alike, background included. So is it here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.errors import ConfigError

__all__ = [
    "GradientRegulation",
    "PixelNorm",
    "check_norm",
    "check_threshold",
    "covered_quantiles",
    "finite_pixels",
    "pixel_norm",
    "shorten",
]

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


def check_norm(norm: str) -> None:
    """Raises ConfigError for anything but the names of `PixelNorm`."""
    if norm not in ("l2", "linf"):
        raise ConfigError(f"regulation.norm is {norm!r}; it must be 'l2' or 'linf'.")


def shorten(
    grad: Float[Tensor, "b c h w"], size: Float[Tensor, "b 1 h w"], longest: float | Float[Tensor, ""]
) -> Float[Tensor, "b c h w"]:
    """Scales each pixel's gradient, of this `size`, so that it is at most `longest`; its direction stays."""
    return grad * (longest / size.clamp_min(torch.finfo(torch.float32).tiny)).clamp_max(1.0)


def covered_quantiles(
    size: Float[Tensor, "b 1 h w"], covered: Bool[Tensor, "b 1 h w"], shares: Sequence[float]
) -> list[Float[Tensor, ""]]:
    """Returns, for each share in (0, 1], the size that this share of the covered pixels does not exceed; 0 without any.

    No pixels are gathered, so that a GPU need not be waited for: uncovered ones are sorted to the end. Ranks are whole
    numbers, since float32 miscounts pixels above 16 million and Apple's GPUs know no float64.
    """
    zero = torch.zeros((), dtype=size.dtype, device=size.device)
    ordered = torch.where(covered, size, torch.full_like(zero, torch.finfo(size.dtype).max)).flatten().sort().values
    count = covered.sum()
    parts = 1_000_000
    ranks = [((count * round(share * parts) + (parts - 1)) // parts - 1).clamp_min(0) for share in shares]
    return [torch.where(count > 0, ordered.gather(0, rank.reshape(1))[0], zero) for rank in ranks]
