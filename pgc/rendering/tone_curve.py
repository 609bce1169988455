# SPDX-License-Identifier: Apache-2.0
"""The one curve from radiance to pictures, the same in every render, so that a material is never fitted to a curve.

y = x up to SHOULDER, and SHOULDER + (1 - SHOULDER) t / (1 + t) with t = (x - SHOULDER) / (1 - SHOULDER) above; then
sRGB encoding. Below the shoulder a picture is what Blender's "Standard" view shows; above, highlights roll off towards
1 without reaching it. The curve has a continuous slope, is strictly increasing and has an inverse, channel by channel;
its slope falls as 1 / t², not exponentially, so that a bright highlight still tells the roughness something.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.color_space import linear_from_srgb, srgb_from_linear

__all__ = ["SHOULDER", "picture_from_radiance", "picture_slope", "radiance_from_picture"]

SHOULDER = 0.6
"""Linear value where the roll-off begins; sRGB 0.80."""

_SPAN = 1.0 - SHOULDER


def picture_from_radiance(radiance: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Turns linear radiance >= 0 (after exposure) into sRGB in [0, 1]. Differentiable; negative values count as 0."""
    linear = radiance.clamp_min(0.0)
    over = (linear - SHOULDER).clamp_min(0.0) / _SPAN
    return srgb_from_linear(torch.where(linear <= SHOULDER, linear, SHOULDER + _SPAN * over / (1.0 + over)))


def radiance_from_picture(picture: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Turns sRGB in [0, 1) back into linear radiance: the inverse of `picture_from_radiance`."""
    linear = linear_from_srgb(picture)
    over = ((linear - SHOULDER).clamp_min(0.0) / _SPAN).clamp_max(1.0 - 1e-6)
    return torch.where(linear <= SHOULDER, linear, SHOULDER + _SPAN * over / (1.0 - over))


def picture_slope(radiance: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Returns the curve's derivative at radiance > 0."""
    with torch.enable_grad():
        leaf = radiance.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(picture_from_radiance(leaf).sum(), leaf)
    return slope
