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

from pgc.color_space import srgb_from_linear

__all__ = ["SHOULDER", "picture_from_radiance"]

SHOULDER = 0.6
"""Linear value where the roll-off begins; sRGB 0.80."""

_SPAN = 1.0 - SHOULDER


def picture_from_radiance(radiance: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Turns linear radiance >= 0 (after exposure) into sRGB in [0, 1]. Differentiable; negative values count as 0."""
    linear = radiance.clamp_min(0.0)
    over = (linear - SHOULDER).clamp_min(0.0) / _SPAN
    return srgb_from_linear(torch.where(linear <= SHOULDER, linear, SHOULDER + _SPAN * over / (1.0 + over)))
