# SPDX-License-Identifier: Apache-2.0
"""Scores of a material against the known one. Pure functions of texels; pictures are scored in `relit_scores`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.errors import ConfigError
from pgc.evaluation.measures.color_difference import delta_e_2000, lab_from_srgb
from pgc.evaluation.measures.flip import flip
from pgc.evaluation.measures.scores import psnr
from pgc.texture.penalties import harmonics

__all__ = [
    "baked_light",
    "color_difference",
    "normal_angle",
    "relit_scores",
    "root_mean_square",
    "sharpness",
    "structural_similarity",
]

_SSIM_DEVIATION = 1.5
_SSIM_RADIUS = 5
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2
_DARKEST = 0.01
"""Base colours are not taken for darker than this before their logarithm (as in the toy experiment)."""


def _check(mask: Tensor) -> None:
    if not bool(mask.any()):
        raise ConfigError("A score of no texels was asked for; the mask is empty.")


def root_mean_square(image: Float[Tensor, "c s s"], truth: Float[Tensor, "c s s"], mask: Bool[Tensor, "s s"]) -> float:
    """Returns the root of the mean squared error inside the mask, over all channels."""
    _check(mask)
    return float((image - truth).double()[:, mask].square().mean().sqrt())


def color_difference(image: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], mask: Bool[Tensor, "s s"]) -> float:
    """Returns the mean CIEDE2000 inside the mask of two sRGB textures."""
    _check(mask)
    first, second = (lab_from_srgb(part)[:, mask] for part in (image, truth))
    return float(delta_e_2000(first, second).mean())


def normal_angle(image: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], mask: Bool[Tensor, "s s"]) -> float:
    """Returns the mean angle inside the mask between two normal maps (stored as 0.5 + 0.5 n), degrees."""
    _check(mask)
    first, second = (F.normalize((part.double() * 2.0 - 1.0)[:, mask], dim=0) for part in (image, truth))
    # The arc tangent stays exact where the arc cosine loses half its digits.
    angle = torch.atan2(
        torch.linalg.vector_norm(torch.linalg.cross(first, second, dim=0), dim=0), (first * second).sum(0)
    )
    return float(torch.rad2deg(angle).mean())


def structural_similarity(
    image: Float[Tensor, "c s s"], truth: Float[Tensor, "c s s"], mask: Bool[Tensor, "s s"]
) -> float:
    """Returns the mean SSIM inside the mask (Wang et al., 2004), with the paper's Gaussian window and constants.

    The window's weights outside the mask are 0, so that what lies between charts counts for nothing.
    """
    _check(mask)
    offset = torch.arange(-_SSIM_RADIUS, _SSIM_RADIUS + 1, dtype=torch.float64)
    line = torch.exp(-(offset**2) / (2.0 * _SSIM_DEVIATION**2))
    kernel = (line[:, None] * line[None])[None, None]
    weight = mask.double().cpu()[None, None]
    total = F.conv2d(weight, kernel, padding=_SSIM_RADIUS).clamp_min(1e-12)

    def mean(values: Tensor) -> Tensor:
        """Averages over the window, inside the mask."""
        return F.conv2d(values * weight, kernel, padding=_SSIM_RADIUS) / total

    x, y = image.double().cpu()[:, None], truth.double().cpu()[:, None]
    mean_x, mean_y = mean(x), mean(y)
    variance_x, variance_y = (mean(x * x) - mean_x**2).clamp_min(0.0), (mean(y * y) - mean_y**2).clamp_min(0.0)
    covariance = mean(x * y) - mean_x * mean_y
    score = (2.0 * mean_x * mean_y + _SSIM_C1) * (2.0 * covariance + _SSIM_C2)
    score = score / ((mean_x**2 + mean_y**2 + _SSIM_C1) * (variance_x + variance_y + _SSIM_C2))
    return float(score[:, 0][:, mask.cpu()].mean())


def baked_light(
    image: Float[Tensor, "3 s s"],
    truth: Float[Tensor, "3 s s"],
    normals: Float[Tensor, "s s 3"],
    area: Float[Tensor, "s s"],
) -> dict[str, float]:
    """Says how much of the error of base colour looks like light: the fit of its logarithm by harmonics of the normal.

    The error is log(mean channel of the image) - log(mean channel of the truth), sRGB values as they are stored.
    Order-2 spherical harmonics of the surface's normal are fitted to it by least squares over the surface.

    Args:
        image, truth: base colour.
        normals: unit normals of the surface under the texels.
        area: surface that each texel stands for, any unit; 0 where there is none.

    Returns:
        "std": standard deviation of the fit over the surface, in natural logarithms (0.05: 5 % light and dark).
        "r2": share of the error's variance that the fit explains, in [0, 1]; 0 where there is no error.
    """
    inside = area > 0.0
    _check(inside)
    weight = area[inside].double()
    weight = weight / weight.sum()
    tones = [part.double().mean(dim=0)[inside].clamp_min(_DARKEST).log() for part in (image, truth)]
    error = tones[0] - tones[1]
    basis = harmonics(normals[inside].double())
    root = weight.sqrt()[:, None]
    # A flat mesh has fewer independent harmonics than nine; the pseudo-inverse takes what there is.
    fit = basis @ (torch.linalg.pinv(basis * root) @ (error[:, None] * root))[:, 0]

    def variance(values: Tensor) -> float:
        """Returns the variance over the surface."""
        return float((weight * (values - (weight * values).sum()).square()).sum())

    total = variance(error)
    explained = 1.0 - float((weight * (error - fit).square()).sum()) / total if total > 1e-18 else 0.0
    return {"std": variance(fit) ** 0.5, "r2": max(0.0, explained)}


def sharpness(image: Float[Tensor, "c s s"], truth: Float[Tensor, "c s s"], mask: Bool[Tensor, "s s"]) -> float:
    """Says how much of the truth's detail is there: the slope of the image's texel differences over the truth's.

    1 is as sharp, 0.5 half the contrast between neighbours. Noise, which does not agree with the truth, adds nothing.
    A truth without any detail has 1.
    """
    _check(mask)
    product, square = 0.0, 0.0
    for dim in (1, 2):
        length = image.shape[dim] - 1
        both = mask.narrow(dim - 1, 0, length) & mask.narrow(dim - 1, 1, length)
        a, b = (
            (part.narrow(dim, 1, length) - part.narrow(dim, 0, length)).double()[:, both] for part in (image, truth)
        )
        product, square = product + float((a * b).sum()), square + float((b * b).sum())
    return product / square if square > 0.0 else 1.0


def relit_scores(
    image: Float[Tensor, "b 3 h w"], truth: Float[Tensor, "b 3 h w"], mask: Bool[Tensor, "b 1 h w"]
) -> list[Mapping[str, float]]:
    """Returns PSNR (dB) and mean FLIP of each picture, over the pixels that show the object.

    A PSNR above 60 dB (a thousandth of the range) counts as 60, so that one perfect picture is not infinitely good.
    """
    errors = flip(image, truth)
    rows: list[Mapping[str, float]] = []
    for index in range(len(image)):
        inside = mask[index, 0]
        if bool(inside.any()):
            score = min(60.0, psnr(image[index], truth[index], inside))
            rows.append({"psnr": score, "flip": float(errors[index][inside].mean())})
    return rows
