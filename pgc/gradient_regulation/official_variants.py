# SPDX-License-Identifier: Apache-2.0
"""The other ways that the official PGC code offers (`--grad_suppress_type` 2, 3 and 4), which its paper does not name.

They are kept to compare with. As there, the sigmoid is not equivariant to a scale of the gradient: its slope at 0 is
c/4 whatever the gradient's units are, so that it is a clipping at c/2 for large gradients, and a weakening by c/4 for
small ones. The official code feeds it a gradient that loss scaling has multiplied by about 1024, which makes it all but
the sign of each channel; `steepness` is that factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.errors import ConfigError
from pgc.gradient_regulation.base import check_threshold, finite_pixels

__all__ = ["OfficialVariant", "OfficialVariantConfig", "OfficialVariantRegulation", "scale_globally", "sigmoid", "soft"]

OfficialVariant = Literal["global", "sigmoid", "soft"]


def scale_globally(grad: Float[Tensor, "b c h w"], threshold: float) -> Float[Tensor, "b c h w"]:
    """Computes c·g / max|g| over the whole batch (type 2): the largest channel of all becomes c, up or down."""
    check_threshold(threshold)
    safe = finite_pixels(grad)[0].float()
    largest = safe.abs().amax().clamp_min(torch.finfo(torch.float32).tiny)
    return (safe / largest * threshold).to(grad.dtype)


def sigmoid(grad: Float[Tensor, "b c h w"], threshold: float, steepness: float = 1.0) -> Float[Tensor, "b c h w"]:
    """Computes (σ(S·g) − ½)·c for every channel (type 3), S being `steepness`."""
    check_threshold(threshold)
    safe = finite_pixels(grad)[0].float()
    return ((torch.sigmoid(safe * steepness) - 0.5) * threshold).to(grad.dtype)


def soft(grad: Float[Tensor, "b c h w"], threshold: float) -> Float[Tensor, "b c h w"]:
    """Computes c·g / (|g| + c) for every channel by itself (type 4 of the trainer)."""
    check_threshold(threshold)
    safe = finite_pixels(grad)[0].float()
    return (threshold * safe / (safe.abs() + threshold)).to(grad.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialVariantConfig:
    """The settings of one of the official code's other ways."""

    variant: OfficialVariant
    threshold: float = 0.1
    steepness: float = 1024.0
    """Of the sigmoid alone: the loss scale that the official run multiplies gradients by."""

    def __post_init__(self) -> None:
        check_threshold(self.threshold)
        if math.isinf(self.threshold):
            raise ConfigError(f"regulation.threshold is infinite, which {self.variant!r} cannot do; name a number.")
        if not (self.steepness > 0 and math.isfinite(self.steepness)):
            raise ConfigError(f"regulation.steepness is {self.steepness}; it must be positive and finite.")


class OfficialVariantRegulation:
    """Regulates as the configuration's variant."""

    def __init__(self, config: OfficialVariantConfig) -> None:
        self.config = config

    def regulate(
        self, gradient: Float[Tensor, "b c h w"], covered: Bool[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Returns what `GradientRegulation.regulate` says."""
        match self.config.variant:
            case "global":
                return scale_globally(gradient, self.config.threshold)
            case "sigmoid":
                return sigmoid(gradient, self.config.threshold, self.config.steepness)
            case "soft":
                return soft(gradient, self.config.threshold)
