# SPDX-License-Identifier: Apache-2.0
"""The light under which a known material looks most like a wanted picture.

Before the tone curve T a picture is linear in the light: radiance A x, with the light's harmonics x and a matrix A that
the material, the normals and the eye decide (`pgc.rendering.pbr_shading.light_terms`). Of a wanted picture y with
noise of variance σ² a row, and of a light that is normal with mean μ and precision Λ (`prior`), the most plausible is

    x = argmin  Σ w ‖T(A x) − y‖² / σ²  +  (x − μ)ᵀ Λ (x − μ)

It is found by ridge regression on the curve's slope s, again and again: s (A x − r) stands for T(A x) − y, with
s = T'(y⁻) and r = y⁻ = T⁻¹(y) in the first round, the secant between A x and y⁻ in the second, and the tangent at A x,
r = A x − (T(A x) − y) / s, in those after it. The weight w = 1 / (1 + e² / robust²), of a pixel's error e in the round
before, is that of a Cauchy distribution: highlights that harmonics are too blunt for do not bend the rest.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.lighting.explained.prior import LightPrior
from pgc.rendering.brdf import brdf_table
from pgc.rendering.harmonics import degrees, harmonics, lobe_factors, zonal_table
from pgc.rendering.lobes import lobe_table
from pgc.rendering.pbr_shading import SurfaceSamples, light_terms
from pgc.rendering.tone_curve import picture_from_radiance, picture_slope, radiance_from_picture

__all__ = ["explain_light", "light_design"]

_DARKEST = 2e-3
"""Radiance below which the curve goes on straight, as sRGB begins: less than black is farther off than black."""
_FIRST_DARKEST = 0.02
_BRIGHTEST = 0.95
"""Wanted values above are taken for this one where the curve is inverted: noise reaches beyond 1."""
_LEAST_GAP = 1e-3


def light_design(samples: SurfaceSamples, degree: int) -> Float[Tensor, "3 P k"]:
    """Computes A for each channel: linear radiance of P points is A x."""
    normal = samples.normal
    terms = light_terms(samples, brdf_table().to(normal.device), lobe_table().to(normal.device))
    factors = zonal_table(degree)[-1, degrees(degree)].to(normal)
    design = terms.base.T[:, :, None] * (harmonics(normal, degree) * factors)
    for lobe in terms.lobes:
        seen = harmonics(lobe.direction, degree) * lobe_factors(lobe.roughness, degree)
        design += lobe.weight.T[:, :, None] * seen
    return design


@torch.no_grad()
def explain_light(
    samples: SurfaceSamples,
    wanted: Float[Tensor, "P 3"],
    views: int,
    prior: LightPrior,
    *,
    noise: float,
    robust: float | None = None,
    rounds: int = 3,
) -> Float[Tensor, "B k 3"]:
    """Finds the light of each view by itself.

    Args:
        samples: the points that are looked at, with the present material; view by view.
        wanted: what the picture should show at each of them, sRGB.
        views: how many there are, B.
        prior: which light is plausible.
        noise: σ², the variance of a point's wanted value; of neighbours that err together each counts for its share.
        robust: error from which on a point counts less; None: all count the same.
        rounds: of the regression.
    """
    design = light_design(samples, math.isqrt(len(prior.mean)) - 1)
    rows, targets, here = _by_view(design, wanted, samples.view_index, views)
    mean, precision = prior.mean.to(wanted), prior.precision.to(wanted)
    known = radiance_from_picture(targets.clamp(0.0, _BRIGHTEST))
    slope, goal, weight = picture_slope(known.clamp_min(_FIRST_DARKEST)), known, here
    light = _ridge(rows * slope[..., None], slope * goal, weight, mean, precision * noise)
    for at in range(1, rounds):
        radiance = (rows @ light.mT[..., None])[..., 0].clamp_min(_DARKEST)
        error = picture_from_radiance(radiance) - targets
        if at == 1:
            gap = torch.where((known - radiance).abs() < _LEAST_GAP, _LEAST_GAP, known - radiance)
            slope = (picture_from_radiance(radiance + gap) - picture_from_radiance(radiance)) / gap
        else:
            slope = picture_slope(radiance)
        if robust is not None:
            weight = here / (1.0 + error.square().mean(dim=1, keepdim=True) / robust**2)
        light = _ridge(rows * slope[..., None], slope * radiance - error, weight, mean, precision * noise)
    return light


def _by_view(
    design: Tensor, wanted: Tensor, view_index: Tensor, views: int
) -> tuple[Float[Tensor, "B 3 n k"], Float[Tensor, "B 3 n"], Float[Tensor, "B 1 n"]]:
    """Rows of each view side by side, with zeros after the last one; and where there is one."""
    counts = torch.bincount(view_index, minlength=views)
    first = counts.cumsum(0) - counts
    place = torch.arange(len(view_index), device=view_index.device) - first[view_index]
    most = max(1, int(counts.max()))
    rows = design.new_zeros((views, most, 3, design.shape[-1]))
    rows[view_index, place] = design.transpose(0, 1)
    targets, here = design.new_zeros((views, most, 3)), design.new_zeros((views, 1, most))
    targets[view_index, place], here[view_index, 0, place] = wanted, 1.0
    return rows.transpose(1, 2), targets.mT, here


def _ridge(
    rows: Float[Tensor, "B 3 n k"],
    goal: Float[Tensor, "B 3 n"],
    weight: Float[Tensor, "B 1 n"],
    mean: Float[Tensor, "k 3"],
    precision: Float[Tensor, "k 3 3"],
) -> Float[Tensor, "B k 3"]:
    """Solves Σ w (rows x − goal)² + (x − μ)ᵀ Λ (x − μ) for x; channels meet in Λ alone."""
    views, channels, _, count = rows.shape
    weighted = (rows * weight[..., None]).mT
    gram, right = weighted @ rows, (weighted @ goal[..., None])[..., 0]
    right = right + torch.einsum("kce,ke->ck", precision, mean)
    place = torch.arange(count, device=rows.device)
    matrix = rows.new_zeros((views, channels, count, channels, count))
    for one in range(channels):
        matrix[:, one, :, one] = gram[:, one]
        for other in range(channels):
            matrix[:, one, place, other, place] += precision[:, one, other]
    size = channels * count
    factor = torch.linalg.cholesky(matrix.reshape(views, size, size))
    solved = torch.cholesky_solve(right.reshape(views, size, 1), factor)
    return solved.reshape(views, channels, count).mT
