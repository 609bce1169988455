# SPDX-License-Identifier: Apache-2.0
"""What is unlikely of a volume as rays see it, whatever it is to be.

    opacity      Σ √(α² + 0.01): empty space is likelier (Poole et al., "DreamFusion", 2022, appendix A.2)
    entropy      Σ H(α): a ray meets something or nothing (Stable-DreamFusion)
    orientation  Σ α max(0, -n·v)²: what is seen faces the viewer (Verbin et al., "Ref-NeRF", 2022, eq. 11)

Sums over pixels, in units of the gradient on one pixel: teachers' gradients are sums over pixels too. Orientation looks
at one place a pixel, as normals do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.errors import ConfigError

__all__ = ["VolumePenaltyConfig", "volume_penalty", "with_penalty"]

_SOFT = 0.01
_EDGE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumePenaltyConfig:
    """Weights; 0 turns one off."""

    opacity: float = 0.0
    entropy: float = 0.0
    orientation: float = 0.0

    def __post_init__(self) -> None:
        for name in ("opacity", "entropy", "orientation"):
            if not (getattr(self, name) >= 0.0 and math.isfinite(getattr(self, name))):
                raise ConfigError(f"penalties.{name} is {getattr(self, name)}; it must be 0 or more.")


def volume_penalty(
    config: VolumePenaltyConfig, opacity: Float[Tensor, "b 1 h w"], facing: Float[Tensor, "b 1 h w"] | None
) -> Float[Tensor, ""]:
    """Computes the sum of all penalties.

    Args:
        config: weights.
        opacity: of each pixel, in [0, 1].
        facing: cosine between the normal and the way to the viewer; needed for orientation alone.
    """
    total = opacity.new_zeros(())
    if config.opacity:
        total = total + config.opacity * (opacity.square() + _SOFT).sqrt().sum()
    if config.entropy:
        share = opacity.clamp(_EDGE, 1.0 - _EDGE)
        total = total - config.entropy * (share * share.log2() + (1.0 - share) * (1.0 - share).log2()).sum()
    if config.orientation and facing is not None:
        total = total + config.orientation * (opacity.detach() * facing.clamp_max(0.0).square()).sum()
    return total


def with_penalty(image: Float[Tensor, "b c h w"], penalty: Float[Tensor, ""]) -> Float[Tensor, "b c h w"]:
    """Returns the same picture; whoever goes back through it, also goes down the penalty.

    The loop goes back through pictures once and their graph is gone: a penalty of the same rays would otherwise need
    them to be followed again.
    """
    return _WithPenalty.apply(image, penalty)


class _WithPenalty(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, penalty: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        """Returns the picture."""
        return image.view_as(image)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401 - torch's own
        """Returns the picture's gradient as it is, and one for the penalty."""
        return grads[0], grads[0].new_ones(())
