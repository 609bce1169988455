# SPDX-License-Identifier: Apache-2.0
"""Soft light for pictures of a result, so that the shape can be seen. No part of the optimisation."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from pgc.color_space import linear_from_srgb, srgb_from_linear

__all__ = ["soft_light"]

AMBIENT = 0.42
"""Light from a white sky upon a surface that faces up; the ground gives a third of it."""
HEADLIGHT = 0.62
"""Light from the viewer upon a surface that faces the viewer."""


def soft_light(
    base_color: Float[Tensor, "b 3 h w"], normal: Float[Tensor, "b 3 h w"], to_viewer: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, "b 3 h w"]:
    """Shades a matte surface under a headlight and a sky.

    Args:
        base_color: sRGB in [0, 1].
        normal: unit, in the Z-up world, turned to the viewer.
        to_viewer: unit directions from the surface to the viewer.

    Returns:
        sRGB in [0, 1].
    """
    facing = (normal * to_viewer).sum(dim=1, keepdim=True).clamp(0.0, 1.0)
    sky = 2.0 / 3.0 + normal[:, 2:3] / 3.0
    lit = linear_from_srgb(base_color) * (HEADLIGHT * facing + AMBIENT * sky)
    return srgb_from_linear(lit.clamp(0.0, 1.0))
