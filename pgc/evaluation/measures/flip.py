# SPDX-License-Identifier: Apache-2.0
"""LDR-FLIP: the difference that a person sees when two pictures are swapped in place.

Andersson, Nilsson, Akenine-Möller, Oskarsson, Åström and Fairchild, "FLIP: A Difference Evaluator for Alternating
Images", PACM CGIT 3(2), 2020. Written from the paper; section numbers are its own.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pgc.color_space import linear_from_srgb
from pgc.errors import ConfigError
from pgc.evaluation.measures.color_difference import WHITE_D65, lab_from_xyz, xyz_from_linear

__all__ = ["PIXELS_PER_DEGREE", "flip"]

PIXELS_PER_DEGREE = 67.0
"""The paper's viewing condition: 0.7 m from a 0.7 m wide monitor of 3840 pixels."""

_COLOR_EXPONENT = 0.7
_COLOR_SPLIT = (0.4, 0.95)
"""Section 4.3: errors up to 0.4 of the largest map to 0.95 of the range."""
_FEATURE_WIDTH = 0.082
"""Degrees: the width of the features that are looked for (4.2)."""
_FEATURE_EXPONENT = 0.5
_SENSITIVITY: dict[str, tuple[float, float, float, float]] = {
    "achromatic": (1.0, 0.0047, 0.0, 1e-5),
    "red_green": (1.0, 0.0053, 0.0, 1e-5),
    "blue_yellow": (34.1, 0.04, 13.5, 0.025),
}
"""Table 1: a1, b1, a2, b2 of the contrast sensitivity functions of the opponent space."""


def flip(
    image: Float[Tensor, "b 3 h w"],
    truth: Float[Tensor, "c 3 i j"],
    pixels_per_degree: float = PIXELS_PER_DEGREE,
) -> Float[Tensor, "b h w"]:
    """Computes the error of every pixel, in [0, 1], float32 as in the authors' program.

    Args:
        image, truth: sRGB in [0, 1].
        pixels_per_degree: of visual angle.

    Raises:
        ConfigError: the sizes differ.
    """
    if image.shape != truth.shape:
        raise ConfigError(f"FLIP of pictures of {tuple(image.shape)} and {tuple(truth.shape)}; give equal sizes.")
    first, second = (
        _opponent(linear_from_srgb(picture.double().clamp(0.0, 1.0)).float()) for picture in (image, truth)
    )
    color = _color_error(first, second, pixels_per_degree)
    feature = _feature_error(first, second, pixels_per_degree)
    return color ** (1.0 - feature)  # eq. 14


def _opponent(linear: Tensor) -> Tensor:
    """Linear sRGB to YyCxCz (4.1)."""
    x, y, z = xyz_from_linear(linear).unbind(-3)
    white = WHITE_D65
    x, y, z = x / white[0], y / white[1], z / white[2]
    return torch.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], dim=-3)


def _linear_xyz(opponent: Tensor) -> Tensor:
    """The inverse of `_opponent`, to XYZ."""
    a, b, c = opponent.unbind(-3)
    y = (a + 16.0) / 116.0
    x, z = y + b / 500.0, y - c / 200.0
    return torch.stack([x * WHITE_D65[0], y * WHITE_D65[1], z * WHITE_D65[2]], dim=-3)


def _sensitivity_kernel(name: str, pixels_per_degree: float, like: Tensor) -> Tensor:
    """The point spread of a contrast sensitivity function, on pixels, with sum 1."""
    a1, b1, a2, b2 = _SENSITIVITY[name]
    # Three standard deviations of the widest of all the Gaussians (b = 0.04).
    radius = math.ceil(3.0 * math.sqrt(0.04 / (2.0 * math.pi**2)) * pixels_per_degree)
    offset = torch.arange(-radius, radius + 1, dtype=like.dtype, device=like.device) / pixels_per_degree
    squared = offset[:, None] ** 2 + offset[None] ** 2
    kernel = torch.zeros_like(squared)
    for a, b in ((a1, b1), (a2, b2)):
        kernel = kernel + a * math.sqrt(math.pi / b) * torch.exp(-(math.pi**2) * squared / b)
    return kernel / kernel.sum()


def _filtered(opponent: Tensor, pixels_per_degree: float) -> Tensor:
    kernels = torch.stack([_sensitivity_kernel(name, pixels_per_degree, opponent) for name in _SENSITIVITY])[:, None]
    radius = kernels.shape[-1] // 2
    return F.conv2d(F.pad(opponent, (radius,) * 4, mode="replicate"), kernels, groups=3)


def _hunt(lab: Tensor) -> Tensor:
    """Colour fades in the dark (4.1, Hunt effect)."""
    light = lab[..., :1, :, :]
    return torch.cat([light, 0.01 * light * lab[..., 1:, :, :]], dim=-3)


def _hyab(first: Tensor, second: Tensor) -> Tensor:
    """A metric for large colour differences: city-block in lightness, Euclidean in the rest (eq. 8)."""
    difference = first - second
    return difference[..., 0, :, :].abs() + torch.linalg.vector_norm(difference[..., 1:, :, :], dim=-3)


def _largest_color_error() -> float:
    """Between sRGB green and blue, the farthest pair."""
    pair = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)[:, :, None, None]
    green, blue = _hunt(lab_from_xyz(xyz_from_linear(pair)))
    return float(_hyab(green, blue)) ** _COLOR_EXPONENT


def _color_error(first: Tensor, second: Tensor, pixels_per_degree: float) -> Tensor:
    seen = []
    for opponent in (first, second):
        xyz = _linear_xyz(_filtered(opponent, pixels_per_degree))
        # Filtering may leave the gamut; the paper clamps in linear sRGB.
        linear = torch.einsum("ij,...jhw->...ihw", _xyz_to_rgb(xyz), xyz).clamp(0.0, 1.0)
        seen.append(_hunt(lab_from_xyz(xyz_from_linear(linear))))
    error = _hyab(*seen) ** _COLOR_EXPONENT
    largest, (split, mapped) = _largest_color_error(), _COLOR_SPLIT
    low = error * (mapped / (split * largest))
    high = mapped + (error - split * largest) / (largest - split * largest) * (1.0 - mapped)
    return torch.where(error < split * largest, low, high).clamp(0.0, 1.0)


def _xyz_to_rgb(like: Tensor) -> Tensor:
    columns = xyz_from_linear(torch.eye(3, dtype=like.dtype, device=like.device)[:, :, None, None])[..., 0, 0].T
    return torch.linalg.inv(columns)


def _feature_kernels(pixels_per_degree: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """First and second derivative of a Gaussian along x; positive and negative parts each sum to 1 (4.2)."""
    deviation = 0.5 * _FEATURE_WIDTH * pixels_per_degree
    radius = math.ceil(3.0 * deviation)
    offset = torch.arange(-radius, radius + 1, dtype=like.dtype, device=like.device)
    x, y = offset[None, :], offset[:, None]
    gauss = torch.exp(-(x**2 + y**2) / (2.0 * deviation**2))
    kernels = (-x * gauss, (x**2 / deviation**2 - 1.0) * gauss)
    balanced = []
    for kernel in kernels:
        positive, negative = kernel.clamp_min(0.0), (-kernel).clamp_min(0.0)
        balanced.append(positive / positive.sum() - negative / negative.sum())
    return balanced[0], balanced[1]


def _feature_error(first: Tensor, second: Tensor, pixels_per_degree: float) -> Tensor:
    edge, point = _feature_kernels(pixels_per_degree, first)
    kernels = torch.stack([edge, edge.T, point, point.T])[:, None]
    radius = kernels.shape[-1] // 2
    edges, points = [], []
    for opponent in (first, second):
        light = (opponent[:, :1] + 16.0) / 116.0
        found = F.conv2d(F.pad(light, (radius,) * 4, mode="replicate"), kernels)
        edges.append(torch.linalg.vector_norm(found[:, :2], dim=1))
        points.append(torch.linalg.vector_norm(found[:, 2:], dim=1))
    change = torch.maximum((edges[0] - edges[1]).abs(), (points[0] - points[1]).abs())
    return (change / math.sqrt(2.0)) ** _FEATURE_EXPONENT  # eq. 13
