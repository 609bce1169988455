# SPDX-License-Identifier: Apache-2.0
"""Differences between colours as people see them: CIE L*a*b* and CIEDE2000."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.color_space import linear_from_srgb

__all__ = ["WHITE_D65", "delta_e_2000", "lab_from_srgb", "lab_from_xyz", "xyz_from_linear"]

_RGB_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
"""Linear sRGB (IEC 61966-2-1) to CIE 1931 XYZ, D65."""

WHITE_D65: tuple[float, float, float] = tuple(sum(row) for row in _RGB_TO_XYZ)  # type: ignore[assignment]
"""XYZ of sRGB white."""


def xyz_from_linear(image: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Turns linear sRGB into XYZ, white at Y = 1."""
    return torch.einsum("ij,...jhw->...ihw", torch.tensor(_RGB_TO_XYZ, dtype=image.dtype, device=image.device), image)


def lab_from_xyz(image: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Computes CIE L*a*b* (CIE 15:2004) with the white of D65; L* in [0, 100]."""
    white = torch.tensor(WHITE_D65, dtype=image.dtype, device=image.device)[:, None, None]
    ratio, delta = image / white, 6.0 / 29.0
    root = ratio.clamp_min(delta**3) ** (1.0 / 3.0)
    f = torch.where(ratio > delta**3, root, ratio / (3.0 * delta**2) + 4.0 / 29.0)
    x, y, z = f.unbind(-3)
    return torch.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], dim=-3)


def lab_from_srgb(image: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Turns sRGB in [0, 1] into L*a*b*, float64."""
    return lab_from_xyz(xyz_from_linear(linear_from_srgb(image.double())))


def delta_e_2000(first: Float[Tensor, "3 p"], second: Float[Tensor, "3 p"]) -> Float[Tensor, " p"]:
    """Computes the CIEDE2000 of L*a*b* colours with k_L = k_C = k_H = 1 (Sharma, Wu and Dalal, Color Res. Appl. 30,
    2005).

    Equation numbers are those of that paper. A difference of about 1 is just noticeable.
    """
    (l1, a1, b1), (l2, a2, b2) = first.double().unbind(0), second.double().unbind(0)
    mean_c = 0.5 * (torch.hypot(a1, b1) + torch.hypot(a2, b2))
    g = 0.5 * (1.0 - _saturation(mean_c))  # eq. 4
    a1, a2 = a1 * (1.0 + g), a2 * (1.0 + g)  # eq. 5
    c1, c2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    h1, h2 = _hue(a1, b1), _hue(a2, b2)
    grey = c1 * c2 == 0.0
    turn = h2 - h1
    turn = torch.where(turn > 180.0, turn - 360.0, torch.where(turn < -180.0, turn + 360.0, turn))  # eq. 10
    turn = torch.where(grey, torch.zeros_like(turn), turn)
    delta_h = 2.0 * (c1 * c2).sqrt() * torch.sin(_radians(turn) / 2.0)  # eq. 11
    total, apart = h1 + h2, (h1 - h2).abs() > 180.0
    mean_h = torch.where(apart, torch.where(total < 360.0, total + 360.0, total - 360.0), total) * 0.5  # eq. 14
    mean_h = torch.where(grey, total, mean_h)
    mean_l, mean_c = 0.5 * (l1 + l2), 0.5 * (c1 + c2)
    t = (
        1.0
        - 0.17 * torch.cos(_radians(mean_h - 30.0))
        + 0.24 * torch.cos(_radians(2.0 * mean_h))
        + 0.32 * torch.cos(_radians(3.0 * mean_h + 6.0))
        - 0.20 * torch.cos(_radians(4.0 * mean_h - 63.0))
    )  # eq. 15
    s_l = 1.0 + 0.015 * (mean_l - 50.0) ** 2 / (20.0 + (mean_l - 50.0) ** 2).sqrt()
    s_c, s_h = 1.0 + 0.045 * mean_c, 1.0 + 0.015 * mean_c * t
    spread = 30.0 * torch.exp(-(((mean_h - 275.0) / 25.0) ** 2))
    rotation = -torch.sin(_radians(2.0 * spread)) * 2.0 * _saturation(mean_c)
    light, chroma, hue = (l2 - l1) / s_l, (c2 - c1) / s_c, delta_h / s_h
    return (light**2 + chroma**2 + hue**2 + rotation * chroma * hue).clamp_min(0.0).sqrt()  # eq. 22


def _saturation(chroma: Tensor) -> Tensor:
    return (chroma**7 / (chroma**7 + 25.0**7)).sqrt()


def _hue(a: Tensor, b: Tensor) -> Tensor:
    """Degrees in [0, 360); 0 for greys."""
    return torch.rad2deg(torch.atan2(b, a)) % 360.0


def _radians(degrees: Tensor) -> Tensor:
    return degrees * (math.pi / 180.0)
