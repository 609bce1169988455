# SPDX-License-Identifier: Apache-2.0
"""sRGB's transfer functions (IEC 61966-2-1), differentiable, for tensors of any shape.

Base colour is kept and shown encoded ("sRGB"); light adds up in linear values. The primaries are those of Rec. 709 in
both, so no matrix is involved.
"""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["linear_from_srgb", "luminance", "srgb_from_linear"]

_ENCODED_KNEE = 0.04045
_LINEAR_KNEE = 0.0031308
_LUMINANCE = (0.2126, 0.7152, 0.0722)


def linear_from_srgb(encoded: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Turns encoded values into linear ones, both 0 to 1 for what a screen shows; above 1 the power goes on, below 0
    the line.

    Strictly increasing; gradients are finite everywhere.
    """
    # The power's branch is clamped below the knee, where it is not chosen: its gradient there must not be NaN.
    power = ((encoded.clamp_min(_ENCODED_KNEE) + 0.055) / 1.055) ** 2.4
    return torch.where(encoded <= _ENCODED_KNEE, encoded / 12.92, power)


def srgb_from_linear(linear: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Turns linear values into encoded ones: the inverse of `linear_from_srgb`."""
    power = 1.055 * linear.clamp_min(_LINEAR_KNEE) ** (1.0 / 2.4) - 0.055
    return torch.where(linear <= _LINEAR_KNEE, linear * 12.92, power)


def luminance(linear: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 1 h w"]:
    """Computes the relative luminance Y of linear Rec. 709 values; white has 1."""
    weights = torch.tensor(_LUMINANCE, dtype=linear.dtype, device=linear.device).view(3, 1, 1)
    return (linear * weights).sum(dim=-3, keepdim=True)
