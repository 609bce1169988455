# SPDX-License-Identifier: Apache-2.0
"""Light as real spherical harmonics: an environment of few numbers, which every picture is linear in.

Radiance from direction ω is ℓ(ω) = Σ x_lm Y_lm(ω), with orthonormal real Y_lm up to a degree. A lobe that is symmetric
about its axis d turns it into Σ z_l x_lm Y_lm(d), z_l = ∫ lobe(ω · d) P_l(ω · d) dω (Funk-Hecke; Ramamoorthi and
Hanrahan, "An efficient representation for irradiance environment maps", 2001). So what `pgc.rendering.prefilter` keeps
as blurred pictures are here some numbers a degree: one row for each of its levels, then that of diffuse light.
"""

import functools
import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from pgc.clamping import clamp_inward
from pgc.rendering.brdf import MIN_ALPHA, brdf_table
from pgc.rendering.latlong import Environment, pad_latlong, texel_directions, texel_solid_angles
from pgc.rendering.lobes import lobe_table
from pgc.rendering.prefilter import LEVELS, STEPS, WIDEST, PrefilteredEnvironment, level_heights

__all__ = [
    "degrees",
    "drawn_environment",
    "harmonic_environment",
    "harmonics",
    "lobe_factors",
    "project_environment",
    "zonal_table",
]

_QUADRATURE = 20_000


def degrees(degree: int) -> Int[Tensor, "k"]:
    """Returns the degree l of each of the (degree + 1)² harmonics, in the order of `harmonics`."""
    return torch.tensor([band for band in range(degree + 1) for _ in range(2 * band + 1)])


def harmonics(directions: Float[Tensor, "p 3"], degree: int) -> Float[Tensor, "p k"]:
    """Evaluates Y_lm at unit directions: l by l, m from -l to l. Polynomials in x, y, z, so that gradients are
    bounded everywhere."""
    x, y, z = directions.unbind(-1)
    one = torch.ones_like(z)
    around: list[tuple[Tensor, Tensor]] = [(one, torch.zeros_like(z))]
    for _ in range(degree):
        cosine, sine = around[-1]
        around.append((x * cosine - y * sine, x * sine + y * cosine))
    columns: dict[tuple[int, int], Tensor] = {}
    for order in range(degree + 1):
        # Associated Legendre functions over sin^m, already times their norm, so that no factorial overflows.
        before, polar = torch.zeros_like(z), one * _first_norm(order)
        for band in range(order, degree + 1):
            cosine, sine = around[order]
            columns[band, order] = polar * cosine
            if order:
                columns[band, -order] = polar * sine
            ahead = math.sqrt(((2 * band + 1) * (2 * band + 3)) / ((band + 1) ** 2 - order**2))
            behind = ahead * math.sqrt(max(band**2 - order**2, 0) / (4 * band**2 - 1)) if band else 0.0
            before, polar = polar, ahead * z * polar - behind * before
    return torch.stack([columns[band, m] for band in range(degree + 1) for m in range(-band, band + 1)], dim=-1)


def _first_norm(order: int) -> float:
    """Norm of Y_mm over sin^m, without the sign of Condon and Shortley."""
    square = 1.0 / (4.0 * math.pi)
    for m in range(1, order + 1):
        square *= (2 * m + 1) / (2 * m)
    return math.sqrt(square) * (math.sqrt(2.0) if order else 1.0)


@functools.cache
def zonal_table(degree: int) -> Float[Tensor, "n l"]:
    """Computes z_l of the lobe of each level of `pgc.rendering.prefilter`, then that of irradiance over pi."""
    angle = (torch.arange(_QUADRATURE, dtype=torch.float64) + 0.5) * (math.pi / _QUADRATURE)
    # Half of the angles are crowded at the axis, where the lobes of smooth surfaces are.
    angle = angle**3 / math.pi**2
    cosine, measure = angle.cos(), angle.sin() * angle ** (2.0 / 3.0)
    ahead = cosine.clamp_min(0.0)
    lobes = [torch.zeros_like(cosine)]
    for level in range(1, LEVELS - 1):
        alpha = max((level / STEPS) ** 2, MIN_ALPHA)
        apart = 2.0 * (0.5 * angle).sin() ** 2
        spread = 0.5 * apart + (1.0 - 0.5 * apart) * alpha * alpha
        lobes.append(ahead / spread**2)
    weights = torch.stack([*lobes, (ahead > 0.0).to(ahead), ahead]) * measure
    polynomials = [torch.ones_like(cosine), cosine]
    for band in range(1, degree):
        polynomials.append(((2 * band + 1) * cosine * polynomials[-1] - band * polynomials[-2]) / (band + 1))
    table = weights @ torch.stack(polynomials[: degree + 1], dim=-1)
    table = table / weights.sum(dim=-1, keepdim=True)
    table[0] = 1.0  # level 0 is the environment itself
    return table.float()


def lobe_factors(roughness: Float[Tensor, "p"], degree: int) -> Float[Tensor, "p k"]:
    """Returns z_l under the lobe of each roughness in [0, WIDEST], one a harmonic; differentiable."""
    table = zonal_table(degree).to(roughness)[:, degrees(degree).to(roughness.device)]
    level = clamp_inward(roughness, 0.0, WIDEST) * STEPS
    lower = level.detach().floor().clamp_max(LEVELS - 2)
    near = table.index_select(0, lower.long())
    return near + (table.index_select(0, lower.long() + 1) - near) * (level - lower)[:, None]


def harmonic_environment(name: str, coefficients: Float[Tensor, "B k 3"], height: int = 32) -> PrefilteredEnvironment:
    """Prefilters light of B views that is given by harmonics, to be looked up like any other; `height`: of the
    sharpest level, in texels, four or more for each degree of what the lobes leave."""
    degree = math.isqrt(coefficients.shape[1]) - 1
    basis = _basis_atlas(degree, height).to(coefficients)
    columns = basis.shape[1]
    atlas = torch.einsum("rck,bke->ebrc", basis, coefficients).reshape(3, -1, columns)
    device = coefficients.device
    return PrefilteredEnvironment(
        name=name,
        height=height,
        atlas=atlas,
        brdf_lut=brdf_table().to(device),
        lobe_table=lobe_table().to(device),
        views=len(coefficients),
    )


@functools.cache
def _basis_atlas(degree: int, height: int) -> Float[Tensor, "rows columns k"]:
    """The atlas of each harmonic, blurred by the lobe of each level."""
    table, band = zonal_table(degree), degrees(degree)
    parts = []
    for level, rows in enumerate(level_heights(height)):
        values = harmonics(texel_directions(rows).reshape(-1, 3), degree) * table[level, band]
        padded = pad_latlong(values.T.reshape(-1, rows, 2 * rows))
        parts.append(F.pad(padded, (0, 2 * height + 2 - padded.shape[-1])))
    return torch.cat(parts, dim=1).permute(1, 2, 0).contiguous()


def project_environment(environment: Environment, degree: int) -> Float[Tensor, "k 3"]:
    """Returns the coefficients of an environment: ∫ ℓ(ω) Y_lm(ω) dω."""
    height = environment.radiance.shape[1]
    directions = texel_directions(height, environment.radiance.device).reshape(-1, 3)
    weight = texel_solid_angles(height, environment.radiance.device)[:, None].expand(height, 2 * height).reshape(-1, 1)
    return (harmonics(directions, degree) * weight).T @ environment.radiance.reshape(3, -1).T


def drawn_environment(name: str, coefficients: Float[Tensor, "k 3"], height: int = 32) -> Environment:
    """Draws harmonics as a picture of `height` rows; where they are negative, it is black."""
    degree = math.isqrt(len(coefficients)) - 1
    directions = texel_directions(height, coefficients.device).reshape(-1, 3)
    radiance = (harmonics(directions, degree) @ coefficients).clamp_min(0.0)
    return Environment(name, radiance.T.reshape(3, height, 2 * height).contiguous())
