# SPDX-License-Identifier: Apache-2.0
"""Soft light for pictures of a result, so that the shape can be seen. No part of the optimisation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["linear_from_srgb", "soft_light", "srgb_from_linear"]

AMBIENT = 0.42
"""Light from a white sky upon a surface that faces up; the ground gives a third of it."""
HEADLIGHT = 0.62
"""Light from the viewer upon a surface that faces the viewer."""


def linear_from_srgb(color: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Decodes sRGB by IEC 61966-2-1, values in [0, 1]."""
    return torch.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055).clamp_min(0.0) ** 2.4)


def srgb_from_linear(color: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Inverts `linear_from_srgb`; values above 1 are cut."""
    color = color.clamp(0.0, 1.0)
    return torch.where(color <= 0.0031308, color * 12.92, 1.055 * color.clamp_min(1e-8) ** (1.0 / 2.4) - 0.055)


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
    return srgb_from_linear(linear_from_srgb(base_color) * (HEADLIGHT * facing + AMBIENT * sky))
